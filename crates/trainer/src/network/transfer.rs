//! Weights that were trained before, for a run that starts from them.

use std::path::PathBuf;

use tch::nn::VarStore;
use xception::weights::{self, Description};
use xception::{ModelSpec, Preset};

use crate::network::Error;
use crate::network::model_file::{WeightsFile, named};
use crate::recipe::{HeadStart, Recipe, TransferRecipe};

/// Weights that were trained before. They are read and checked when the run is planned, and read again when its network
/// is built: a run does not keep a second copy in memory.
pub(crate) struct Pretrained {
    /// As it was typed.
    pub(crate) name: String,
    /// The network that a file belongs to which does not say it.
    pub(crate) preset: Preset,
    /// The file.
    pub(crate) path: PathBuf,
    /// The metadata of the weights, or the conventions of their preset.
    pub(crate) description: Description,
}

impl Pretrained {
    /// Reads the weights that the recipe's table `[transfer]` names; `None` without one.
    pub(crate) fn of(recipe: &Recipe) -> Result<Option<Self>, Error> {
        let Some(TransferRecipe { weights, .. }) = &recipe.transfer else { return Ok(None) };
        // A published file does not say which network it is for. Its name does, or else the recipe.
        let preset = named(weights).map_or_else(|| recipe.model.preset.parse(), Ok)?;
        let WeightsFile { path, description, .. } = read(weights, preset)?;
        Ok(Some(Self { name: weights.clone(), preset, path, description }))
    }

    /// Copies the weights into the network of `spec` in `store`, the head too if it is to be kept.
    ///
    /// # Errors
    /// Weights of another network, or a head for other classes.
    pub(crate) fn fill(
        &self,
        store: &VarStore,
        spec: &ModelSpec,
        class_names: &[String],
        head: HeadStart,
    ) -> Result<(), Error> {
        let WeightsFile { mut tensors, description, path } = read(&self.name, self.preset)?;
        let prefix = format!("{}.", spec.architecture()?.names.head());
        match head {
            HeadStart::New => {
                let own =
                    store.variables().into_iter().filter(|(name, _)| name.starts_with(&prefix));
                tensors.retain(|name, _| !name.starts_with(&prefix));
                tensors.extend(own.map(|(name, variable)| (name, variable.detach().copy())));
            }
            HeadStart::Kept if description.class_names != class_names => {
                let (known, wanted) = (description.class_names, class_names.to_vec());
                return Err(Error::OtherHead { path, known, wanted });
            }
            HeadStart::Kept => {}
        }
        Ok(weights::load(store, &tensors)?)
    }
}

/// The weights called `name`, which are of `preset` unless they say otherwise.
fn read(name: &str, preset: Preset) -> Result<WeightsFile, Error> {
    WeightsFile::read(name, Some(preset)).map_err(|error| match error {
        Error::Model(
            problem @ (xception::Error::Import(_)
            | xception::Error::Weights(weights::Error::Mismatch(_))),
        ) => {
            let (weights, problem) = (name.to_string(), Box::new(problem));
            Error::UnfitPreset { weights, preset, problem }
        }
        other => other,
    })
}
