//! The numbers to compute in, as a value: the weights stay fp32, the images' kind decides.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};
use torch_ext::Float32Products;

/// A value of `--precision` and of recipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision throughout.
    Fp32,
    /// Single precision, except that a GPU multiplies with 10 bits of mantissa (TF32); `fp32` on a CPU.
    Tf32,
    /// Feature maps and products in bfloat16; weights, statistics and loss in fp32.
    Bf16,
    /// `bf16` where the device multiplies it faster than fp32, else `fp32`.
    Auto,
}

impl Precision {
    /// The precision that `auto` stands for on `device`.
    pub(crate) fn resolved(self, device: Device) -> Precision {
        match self {
            Precision::Auto if device.is_cuda() || torch_ext::multiplies_bf16_faster() => {
                Precision::Bf16
            }
            Precision::Auto => Precision::Fp32,
            Precision::Tf32 if !device.is_cuda() => Precision::Fp32,
            chosen => chosen,
        }
    }

    /// The kind of the input of a network on `device`.
    pub(crate) fn kind(self, device: Device) -> Kind {
        match self.resolved(device) {
            Precision::Bf16 => Kind::BFloat16,
            _ => Kind::Float,
        }
    }

    /// Sets libtorch up for this precision on `device`, if that is a GPU. libtorch has one such setting in a process.
    pub(crate) fn prepare(self, device: Device) {
        if !device.is_cuda() {
            return;
        }
        let products = match self.resolved(device) {
            Precision::Tf32 => Float32Products::Tf32,
            _ => Float32Products::Exact,
        };
        if let Err(problem) = torch_ext::set_float32_products(products) {
            tracing::warn!("fp32 may be computed with fewer bits than asked for: {problem}");
        }
    }

    /// The name, as it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
            Precision::Auto => "auto",
        }
    }
}
