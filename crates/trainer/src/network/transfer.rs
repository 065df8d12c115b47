//! From weights that were trained before to the start of a run: what of a recipe follows from them, and what of a network
//! they fill.

use tch::nn::VarStore;
use xception::Error::{Import, Mismatch};
use xception::weights::{self, Description};
use xception::{CifarScale, ModelOptions, ModelSpec, Preset};

use crate::network::Error;
use crate::network::model_file::{WeightsFile, named};
use crate::recipe::Request;
use crate::recipe::{HeadStart, Recipe, TransferRecipe};

/// Weights to start from.
pub(crate) struct Pretrained(WeightsFile);

impl Pretrained {
    /// Reads what the recipe's table `[transfer]` names; `None` without one.
    pub(crate) fn of(recipe: &Recipe) -> Result<Option<Self>, Error> {
        let Some(TransferRecipe { weights, .. }) = &recipe.transfer else { return Ok(None) };
        // A published file does not say what it is; its name does, or else the recipe.
        let preset = named(weights).map_or_else(|| recipe.model.preset.parse(), Ok)?;
        let file = WeightsFile::read(weights, Some(preset)).map_err(|error| match error {
            Error::Model(problem @ (Import(_) | Mismatch(_))) => {
                let (weights, problem) = (weights.clone(), Box::new(problem));
                Error::UnfitPreset { weights, preset, problem }
            }
            other => other,
        });
        Ok(Some(Self(file?)))
    }

    /// What the file says of its weights.
    pub(crate) fn description(&self) -> &Description {
        &self.0.description
    }

    /// Makes the recipe one for these weights: their network, and images as they know them, but for a size that was
    /// typed.
    ///
    /// # Errors
    /// Another network that was typed.
    pub(crate) fn adopt(&self, recipe: &mut Recipe, typed: &Request) -> Result<(), Error> {
        let Description { spec, mean, std, crop_fraction, interpolation, input, .. } =
            &self.0.description;
        let asked = recipe.model.clone();
        recipe.model.preset = spec.preset.to_string();
        recipe.model.scale = (spec.preset == Preset::Cifar).then_some::<CifarScale>(spec.scale);
        recipe.model.options = (spec.options != ModelOptions::default()).then_some(spec.options);
        let refused = [
            (
                typed.preset.is_some() || typed.sets("model.preset"),
                asked.preset != recipe.model.preset,
            ),
            (typed.sets("model.scale"), asked.scale != recipe.model.scale),
            (typed.sets("model.options"), asked.options != recipe.model.options),
        ];
        if refused.contains(&(true, true)) {
            return Err(Error::OtherNetwork { path: self.0.path.clone(), preset: spec.preset });
        }
        (recipe.normalization.mean, recipe.normalization.std) = (*mean, *std);
        if let Some(own) = &mut recipe.input {
            (own.crop_fraction, own.interpolation) = (*crop_fraction, *interpolation);
            if !typed.sets("input.side") {
                own.side = *input as usize;
            } else if own.side as i64 != *input {
                tracing::info!(
                    "these weights have seen images of {input}×{input} pixels, this run shows them {side}×{side}",
                    side = own.side
                );
            }
        }
        if let Some(transfer) = &mut recipe.transfer {
            // From whatever folder the run is resumed.
            let path = self.0.path.canonicalize().unwrap_or_else(|_| self.0.path.clone());
            transfer.weights = path.display().to_string();
        }
        Ok(())
    }

    /// Copies the weights into the network of `spec` in `store`, the head too if it is to be kept.
    ///
    /// # Errors
    /// Weights of another network, or a head for other classes.
    pub(crate) fn fill(
        self,
        store: &VarStore,
        spec: &ModelSpec,
        class_names: &[String],
        head: HeadStart,
    ) -> Result<(), Error> {
        let WeightsFile { mut tensors, description, path } = self.0;
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
