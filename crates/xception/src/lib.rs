//! Xception (Chollet, CVPR 2017) on libtorch: one model definition, its presets as data, weights in and out.
//!
//! ```no_run
//! use tch::{Device, Kind, Tensor, nn, nn::ModuleT};
//! use xception::{ModelSpec, Preset, Xception};
//!
//! # fn main() -> Result<(), xception::Error> {
//! let store = nn::VarStore::new(Device::Cpu);
//! let spec = ModelSpec::new(Preset::Xception);
//! let model = Xception::new(&store.root(), &spec.architecture()?, spec.classes)?;
//! let logits = model.forward_t(&Tensor::zeros([1, 3, 299, 299], (Kind::Float, Device::Cpu)), false);
//! assert_eq!(logits.size(), [1, 1000]);
//! # Ok(())
//! # }
//! ```
//!
//! Parameter names are those of the published checkpoints (Cadene's, which timm's `legacy_xception` kept, and timm's of
//! the aligned networks): they are the file format. The model returns logits; it does no input or output but through [`weights`], on paths it is given.

mod architecture;
mod error;
pub mod graph;
pub mod import;
mod inference;
mod model;
mod names;
mod options;
mod preset;
mod residual;
pub mod summary;
mod watcher;
pub mod weights;

pub use architecture::{
    Architecture, Downsampling, ExitSeparables, GlobalPool, MiddleFlow, MiddleWeights, Norm,
    NormPlace, Projection, ResidualRow, Shortcut, SkipFrom, StemConv,
};
pub use error::Error;
pub use inference::Inference;
pub use model::Xception;
pub use names::{Names, is_half, is_shortcut, module_of};
pub use options::{FullyConnected, ModelOptions};
pub use preset::{CifarScale, ModelSpec, Preset};
pub use watcher::{Pass, Watcher};

#[cfg(test)]
mod tests;
