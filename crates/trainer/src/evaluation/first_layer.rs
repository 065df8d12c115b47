//! The filters of the first layer: its input is pixels, so only these filters can be shown as images.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use xception::weights;

use crate::evaluation::Error;

/// The weights of the first convolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FirstLayer {
    /// Filters, channels (red, green, blue), rows, columns.
    pub(crate) shape: [usize; 4],
    /// In that order, contiguous.
    pub(crate) weights: Vec<f32>,
}

impl FirstLayer {
    /// Reads them from a weights file; `None` where the input of the first layer does not have three colours.
    pub(crate) fn read(weights_file: &Path) -> Result<Option<Self>, Error> {
        let (tensors, _) = weights::read(weights_file)?;
        Ok(tensors.get("conv1.weight").and_then(Self::of))
    }

    fn of(tensor: &Tensor) -> Option<Self> {
        let [filters, 3, rows, columns] = tensor.size()[..] else { return None };
        let flat = tensor.to_kind(Kind::Float).contiguous().view([-1]);
        Some(Self {
            shape: [filters as usize, 3, rows as usize, columns as usize],
            weights: flat.try_into().ok()?,
        })
    }

    /// Each filter as RGB pixels `[rows, columns]`. Grey is zero, and all filters share one scale, so that weak filters
    /// are pale. `None` for a shape that does not fit the weights.
    pub(crate) fn images(&self) -> Option<Vec<Vec<[u8; 3]>>> {
        let [filters, channels, rows, columns] = self.shape;
        let area = rows.checked_mul(columns).filter(|area| *area > 0)?;
        let expected = area.checked_mul(3)?.checked_mul(filters)?;
        if channels != 3 || self.weights.len() != expected {
            return None;
        }
        let largest = self.weights.iter().fold(0.0_f32, |largest, w| largest.max(w.abs()));
        let byte = |weight: f32| {
            let part = if largest > 0.0 { weight / largest } else { 0.0 };
            (127.5 + 127.5 * part).round() as u8
        };
        let image = |filter: &[f32]| {
            (0..area).map(|at| [0, 1, 2].map(|c| byte(filter[c * area + at]))).collect()
        };
        Some(self.weights.chunks(3 * area).map(image).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_is_zero_and_all_filters_share_a_scale() {
        let mut weights = [0.0_f32; 12];
        (weights[1], weights[10]) = (2.0, -1.0);
        let weights = Tensor::from_slice(&weights).view([2, 3, 1, 2]);
        let layer = FirstLayer::of(&weights).unwrap();
        assert_eq!(layer.shape, [2, 3, 1, 2]);
        let images = layer.images().unwrap();
        assert_eq!(images[0], [[128, 128, 128], [255, 128, 128]]);
        assert_eq!(images[1], [[128, 128, 64], [128, 128, 128]]);
        let grey = weights.view([4, 1, 1, 3]);
        assert_eq!(FirstLayer::of(&grey), None, "grey images have no colours");
    }

    #[test]
    fn a_shape_that_does_not_fit_is_no_image() {
        let layer = |shape| FirstLayer { shape, weights: vec![0.0; 27] };
        assert_eq!(layer([1, 3, 3, 3]).images().unwrap().len(), 1);
        for shape in [[2, 3, 3, 3], [1, 3, 0, 3], [1, 9, 3, 1], [usize::MAX, 3, 9, 9]] {
            assert_eq!(layer(shape).images(), None, "{shape:?}");
        }
    }
}
