//! Xception (Chollet, CVPR 2017) on libtorch: one model definition, its presets as data, weights in and out.
//!
//! ```no_run
//! use xception::tch::{Device, Kind, Tensor, nn};
//! use xception::{ModelSpec, Preset, weights};
//!
//! # fn main() -> Result<(), xception::Error> {
//! let store = nn::VarStore::new(Device::Cpu);
//! let model = ModelSpec::new(Preset::Xception).build(store.root())?;
//! let (tensors, _) = weights::read("xception.safetensors".as_ref())?;
//! weights::load(&store, &tensors)?;
//! let image = Tensor::zeros([1, 3, 299, 299], (Kind::Uint8, Device::Cpu));
//! let logits = model.logits(&Preset::Xception.preprocessing().normalize(&image));
//! assert_eq!(logits.size(), [1, 1000]);
//! # Ok(())
//! # }
//! ```
//!
//! A network is a table ([`Architecture`]), which a [`ModelSpec`] names and options vary. [`Xception`] trains and
//! evaluates it on any device; [`Inference`] evaluates it on a CPU, faster. [`summary`] counts it, and [`graph`] lists
//! its operations for other programs.
//!
//! Parameter names are those of the published checkpoints (Cadene's, which timm's `legacy_xception` kept, and timm's of
//! the aligned networks): they are the file format. The model returns logits. The crate does no input or output but
//! through [`weights`], on paths that it is given.
//!
//! Functions that build, read or write return an error that says what was wrong and what is accepted. `forward_t` and the
//! methods beside it panic on images that do not fit, saying what was expected, as tch's own modules do.

mod architecture;
mod error;
pub mod graph;
mod hook;
mod images;
pub mod import;
mod inference;
mod model;
mod names;
mod options;
mod out_of_range;
mod outline;
mod preprocessing;
mod preset;
mod residual;
pub mod summary;
mod vocabulary;
pub mod weights;

pub use architecture::{Architecture, ExitSeparables, MiddleFlow, ResidualRow, StemConv};
pub use error::Error;
pub use hook::{Hook, Pass};
pub use inference::{Inference, Unsupported};
pub use model::{BuildError, Xception};
pub use names::{Names, is_half, is_shortcut, module_of};
pub use options::ModelOptions;
pub use out_of_range::OutOfRange;
pub use preprocessing::{Fit, ImageError, Interpolation, Preprocessing};
pub use preset::{CifarScale, ModelSpec, Preset, UnknownPreset};
pub use vocabulary::{
    Downsampling, FullyConnected, GlobalPool, MiddleWeights, Norm, NormPlace, Projection, Shortcut,
    SkipFrom,
};

// Types in the signatures above, so that a program can name them without crates of its own.
pub use sepconv::{
    self, Activation, BatchNormConfig, Groups, HalfNames, Init, NormAct, Order, Padding,
    RunningVariance, SeparableConv2dConfig,
};
pub use {tch, weight_files};

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(test)]
mod tests;
