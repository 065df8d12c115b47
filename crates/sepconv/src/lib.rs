//! Depthwise separable convolution on libtorch: the layers, and what they cost.
//!
//! A regular convolution looks at space and at channels at once.
//! A *depthwise separable* one (Xception, Chollet 2017, section 1.1) looks at each channel's image with its own
//! kernel ([`DepthwiseConv2d`]), then mixes channels pixel by pixel ([`PointwiseConv2d`]); [`SeparableConv2d`] is
//! the two in a row. [`cost`] counts what that saves.
//!
//! Layers are built from a plain config struct and a [`tch::nn::Path`], validate in their constructor, and are
//! [`tch::nn::ModuleT`], so they chain with every other layer of tch; as [`Layer`]s they chain on a
//! [`torch_ext::FeatureMap`] and save passes over memory. A layer computes in the kind of its input:
//! fp32 weights meeting a bf16 image are cast on the way, and their gradients arrive in fp32.
//!
//! ```no_run
//! use sepconv::{SeparableConv2d, SeparableConv2dConfig};
//! use tch::{Device, Kind, Tensor, nn, nn::ModuleT};
//!
//! # fn main() -> Result<(), sepconv::Error> {
//! let store = nn::VarStore::new(Device::Cpu);
//! let config = SeparableConv2dConfig { padding: sepconv::Padding::Explicit([1, 1]), ..Default::default() };
//! let layer = SeparableConv2d::new(&store.root(), 64, 128, config)?;
//! let ys = layer.forward_t(&Tensor::zeros([1, 64, 32, 32], (Kind::Float, Device::Cpu)), false);
//! assert_eq!(ys.size(), [1, 128, 32, 32]);
//! # Ok(())
//! # }
//! ```

mod activation;
mod batch_norm;
mod conv;
pub mod cost;
mod depthwise;
mod error;
mod init;
mod layer;
mod max_pool;
mod packed;
mod padding;
mod pointwise;
mod separable;

pub use activation::Activation;
pub use batch_norm::{BatchNorm2d, BatchNormConfig, RunningVariance};
pub use conv::{Conv2d, Conv2dConfig};
pub use depthwise::{DepthwiseConv2d, DepthwiseConv2dConfig, Groups};
pub use error::Error;
pub use init::Init;
pub use layer::{Chain, Layer};
pub use max_pool::max_pool2d;
pub use packed::Folded;
pub use padding::Padding;
pub use pointwise::{PointwiseConv2d, PointwiseConv2dConfig};
pub use separable::{HalfNames, NormAct, Order, SeparableConv2d, SeparableConv2dConfig};
