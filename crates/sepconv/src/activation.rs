//! The activations that the paper compares between the halves of a separable convolution (figure 10).

use tch::Tensor;
use torch_ext::FeatureMap;

/// What is applied to a feature map, element by element.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Nothing: the paper finds it best between the halves.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, else `exp(x) - 1`.
    Elu,
}

impl Activation {
    /// Applies the activation to a feature map, or leaves it to whoever reads the map next.
    pub fn on(self, xs: FeatureMap) -> FeatureMap {
        match self {
            Activation::None => xs,
            Activation::Relu => xs.relu(),
            Activation::Elu => xs.resolve().elu().into(),
        }
    }

    /// Applies the activation; any shape.
    pub fn apply(self, xs: &Tensor) -> Tensor {
        match self {
            Activation::None => xs.shallow_clone(),
            Activation::Relu => xs.relu(),
            Activation::Elu => xs.elu(),
        }
    }
}
