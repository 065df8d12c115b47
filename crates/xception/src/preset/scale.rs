//! The scale of the preset `cifar`.

use serde::{Deserialize, Serialize};

/// The scale of [`Preset::Cifar`](super::Preset::Cifar). The default has a 4×4 middle flow for 32×32 images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CifarScale {
    /// Factor of every width of the published network, 0.05 to 4; widths are rounded to multiples of 8.
    pub width: f64,
    /// Modules of the middle flow, at most 64.
    pub middle_modules: usize,
    /// Stride of the second stem convolution, 1 or 2.
    pub stem_stride: i64,
    /// Strides of the entry modules, 1 or 2. After a stem stride of 2, `[2, 2, 1]` makes a 4×4 middle flow of 32×32
    /// images, and `[2, 1, 1]` an 8×8 one.
    pub entry_strides: [i64; 3],
}

impl Default for CifarScale {
    fn default() -> Self {
        Self { width: 1.0, middle_modules: 8, stem_stride: 2, entry_strides: [2, 2, 1] }
    }
}
