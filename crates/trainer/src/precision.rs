//! The numbers to compute in, as a value: the weights stay fp32, the images' kind decides.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

/// A value of `--precision` and of recipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision throughout.
    Fp32,
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

    /// The name, as it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Bf16 => "bf16",
            Precision::Auto => "auto",
        }
    }
}
