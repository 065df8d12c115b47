//! A preset with its number of classes and options: everything that it takes to build a network.

use std::borrow::Borrow;

use sepconv::{Activation, Groups};
use tch::nn;

use super::Preset;
use super::scale::CifarScale;
use super::tables::{LONG_ENTRY, SHORT_ENTRY, aligned, cifar, dense, keras, notebook, plain};
use crate::architecture::Architecture;
use crate::model::{BuildError, Xception};
use crate::options::ModelOptions;
use crate::out_of_range::OutOfRange;
use crate::vocabulary::NormPlace;

/// A preset, its number of classes and its options: everything that it takes to build a network.
///
/// All fields are public and may grow in number: end a literal with `..ModelSpec::new(preset)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelSpec {
    /// The network.
    pub preset: Preset,
    /// Length of the logits.
    pub classes: i64,
    /// The scale; of [`Preset::Cifar`] only.
    pub scale: CifarScale,
    /// Overrides of the original.
    pub options: ModelOptions,
}

impl ModelSpec {
    /// The preset as its original is.
    #[must_use]
    pub fn new(preset: Preset) -> Self {
        Self {
            preset,
            classes: preset.classes(),
            scale: CifarScale::default(),
            options: ModelOptions::default(),
        }
    }

    /// The network's table.
    ///
    /// # Errors
    /// A scale or an option out of range.
    pub fn architecture(&self) -> Result<Architecture, OutOfRange> {
        let table = match self.preset {
            Preset::Xception => Architecture::published(),
            Preset::XceptionKeras => keras(),
            Preset::Xception41 => aligned(&SHORT_ENTRY, 8, NormPlace::After, 1e-3),
            Preset::Xception65 => aligned(&SHORT_ENTRY, 16, NormPlace::After, 1e-3),
            Preset::Xception71 => aligned(&LONG_ENTRY, 16, NormPlace::After, 1e-3),
            Preset::Xception41p => aligned(&SHORT_ENTRY, 8, NormPlace::Before, 1e-5),
            Preset::Xception65p => aligned(&SHORT_ENTRY, 16, NormPlace::Before, 1e-3),
            Preset::NotebookCifar10 => notebook(),
            Preset::DenseCifar100 => dense(Groups::Count(1), Activation::Relu),
            Preset::DenseCifar100First => dense(Groups::Count(1), Activation::None),
            Preset::DenseCifar100Depthwise => dense(Groups::PerChannel, Activation::Relu),
            Preset::PlainShared => plain(),
            Preset::Cifar => cifar(self.scale)?,
        };
        self.options.applied_to(table)
    }

    /// Builds the network, its variables under `path`, their initial weights drawn as the original draws them.
    ///
    /// # Errors
    /// A scale, an option or a number of classes out of range, or a path that another network has taken.
    pub fn build<'a>(&self, path: impl Borrow<nn::Path<'a>>) -> Result<Xception, BuildError> {
        Xception::new(path, &self.architecture()?, self.classes)
    }
}
