//! Weights that were trained before, for a run that starts from them.

use std::path::PathBuf;

use tch::nn::VarStore;
use xception::ModelSpec;
use xception::import::{self, Take};
use xception::weights::{self, Description};

use crate::network::Error;
use crate::network::model_file::{Asked, WeightsFile};
use crate::network::weights_name::take;
use crate::recipe::{HeadStart, Recipe, TransferRecipe};

/// Weights that were trained before. They are read and checked when the run is planned, and read again when its network
/// is built: a run does not keep a second copy in memory.
pub(crate) struct Pretrained {
    /// As it was typed.
    pub(crate) name: String,
    /// The copy to take of a file with several.
    pub(crate) take: Take,
    /// The file.
    pub(crate) path: PathBuf,
    /// The metadata of the weights, or the conventions of their preset.
    pub(crate) description: Description,
}

impl Pretrained {
    /// Reads the weights that the recipe's table `[transfer]` names; `None` without one.
    pub(crate) fn of(recipe: &Recipe) -> Result<Option<Self>, Error> {
        let Some(TransferRecipe { weights, take: asked, .. }) = &recipe.transfer else {
            return Ok(None);
        };
        let take = take(asked.as_deref());
        // A published file does not say which network it is for. Its name does, or its tensors, or else the recipe.
        let preset = match Asked::by_name(weights) {
            Asked::For(preset) => Asked::For(preset),
            Asked::Rather(_) | Asked::Nothing => Asked::Rather(recipe.model.preset.parse()?),
        };
        let WeightsFile { path, description, .. } = read(weights, preset, &take)?;
        Ok(Some(Self { name: weights.clone(), take, path, description }))
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
        let preset = Asked::For(self.description.spec.preset);
        let WeightsFile { mut tensors, description, path } = read(&self.name, preset, &self.take)?;
        let prefix = format!("{}.", spec.architecture()?.names.head());
        match head {
            HeadStart::New => {
                let own =
                    store.variables().into_iter().filter(|(name, _)| name.starts_with(&prefix));
                tensors.retain(|name, _| !name.starts_with(&prefix));
                tensors.extend(own.map(|(name, variable)| (name, variable.detach().copy())));
            }
            HeadStart::Kept if description.spec.classes == 0 => {
                return Err(Error::NoHead { path });
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
fn read(name: &str, preset: Asked, take: &Take) -> Result<WeightsFile, Error> {
    WeightsFile::read(name, preset, take).map_err(|error| match (error, preset) {
        (
            Error::Model(
                problem @ (xception::Error::Import(import::Error::Mismatch { .. })
                | xception::Error::Weights(weights::Error::Mismatch(_))),
            ),
            Asked::For(preset) | Asked::Rather(preset),
        ) => {
            let (weights, problem) = (name.to_string(), Box::new(problem));
            Error::UnfitPreset { weights, preset, problem }
        }
        (other, _) => other,
    })
}
