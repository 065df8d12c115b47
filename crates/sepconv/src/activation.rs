//! The activations that the paper compares between the halves of a separable convolution (figure 10).

use tch::{Tensor, nn};
use torch_ext::FeatureMap;

/// An activation, applied element by element.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// The identity, which the paper finds to be best between the halves.
    #[default]
    None,
    /// `max(x, 0)`. PyTorch: `torch.nn.ReLU`.
    Relu,
    /// `x` where positive, else `exp(x) - 1`. PyTorch: `torch.nn.ELU`.
    Elu,
}

impl Activation {
    /// The activated map, of the same shape; a ReLU is left to the layer that reads the map next.
    #[must_use]
    pub fn on(self, xs: FeatureMap) -> FeatureMap {
        match self {
            Activation::None => xs,
            Activation::Relu => xs.relu(),
            Activation::Elu => xs.resolve().elu().into(),
        }
    }
}

impl nn::Module for Activation {
    /// Any shape to the same shape, in the layout of `xs`.
    fn forward(&self, xs: &Tensor) -> Tensor {
        match self {
            Activation::None => xs.shallow_clone(),
            Activation::Relu => xs.relu(),
            Activation::Elu => xs.elu(),
        }
    }
}
