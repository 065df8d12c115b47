//! Depthwise separable convolution on libtorch: the layers, and their cost.
//!
//! A regular convolution mixes space and channels at once.
//! A *depthwise separable* one (Xception, Chollet 2017, section 1.1) convolves each channel with its own
//! kernel ([`DepthwiseConv2d`]), then mixes channels pixel by pixel ([`PointwiseConv2d`]); [`SeparableConv2d`] is
//! the two in a row. [`cost`] counts what that saves.
//!
//! Layers are built from a [`tch::nn::Path`] and a plain config struct, and their constructors validate. The layers
//! that do not depend on training are [`tch::nn::Module`]s, the others [`tch::nn::ModuleT`]s, so they chain with
//! every other layer of tch:
//!
//! ```no_run
//! use sepconv::tch::{Device, Kind, Tensor, nn, nn::ModuleT};
//! use sepconv::{PointwiseConv2d, PointwiseConv2dConfig, SeparableConv2d, SeparableConv2dConfig};
//!
//! # fn main() -> Result<(), sepconv::Error> {
//! let vs = nn::VarStore::new(Device::Cpu);
//! let config = SeparableConv2dConfig { kernel_size: 5, stride: 2, ..Default::default() };
//! let net = nn::seq_t()
//!     .add(SeparableConv2d::new(vs.root() / "conv1", 3, 64, config)?)
//!     .add_fn(|xs| xs.relu())
//!     .add(PointwiseConv2d::new(vs.root() / "conv2", 64, 10, PointwiseConv2dConfig::default())?);
//! let ys = net.forward_t(&Tensor::zeros([1, 3, 32, 32], (Kind::Float, Device::Cpu)), false);
//! assert_eq!(ys.size(), [1, 10, 16, 16]);
//! # Ok(())
//! # }
//! ```
//!
//! **One number or two.** Kernel, stride, padding and dilation are one number for rows and columns in
//! [`SeparableConv2dConfig`] and its like, and two in [`SeparableConv2dConfigND`]: `kernel_size: [3, 5]`.
//!
//! **Kinds.** A layer computes in the kind of its input: fp32 weights meeting a bf16 image are cast on the way, and
//! their gradients arrive in fp32. Images of integers are refused.
//!
//! **Memory layout.** A [`tch::nn::Module`]'s output has the layout of its input: contiguous for contiguous images,
//! channels-last for channels-last ones. The kernels for a CPU read and write channels-last maps, so contiguous
//! images are copied into every layer and out again. Convert them once with [`channels_last`], or chain layers as
//! [`Layer`]s on a [`FeatureMap`], which is channels-last from its first layer to its last and saves further passes
//! over memory.
//!
//! **Derivatives.** The kernels for a CPU have a first derivative and no second one: a backward pass with
//! `create_graph` is an error. On other devices the layers are libtorch's own.

mod activation;
mod batch_norm;
mod conv;
mod conv_bn;
pub mod cost;
mod depthwise;
mod error;
mod fold;
mod init;
mod layer;
mod max_pool;
mod padding;
mod pair;
mod pointwise;
mod separable;

pub use activation::Activation;
pub use batch_norm::{BatchNorm2d, BatchNormConfig, RunningVariance};
pub use conv::{Conv2d, Conv2dConfig, Conv2dConfigND};
pub use conv_bn::ConvBn;
pub use depthwise::{DepthwiseConv2d, DepthwiseConv2dConfig, DepthwiseConv2dConfigND, Groups};
pub use error::Error;
pub use fold::{Folded, FoldedSeparable, PackError};
pub use init::Init;
pub use layer::{Chain, Layer};
pub use max_pool::max_pool2d;
pub use padding::Padding;
pub use pair::Pair;
pub use pointwise::{PointwiseConv2d, PointwiseConv2dConfig, PointwiseConv2dConfigND};
pub use separable::{
    HalfNames, NormAct, Order, SeparableConv2d, SeparableConv2dConfig, SeparableConv2dConfigND,
};
pub use tch;
pub use torch_ext::{Factors, FeatureMap, PackedConv, channels_last, is_channels_last};
