//! From weights that were trained before to the start of a run: what of a recipe follows from them, and what of a network
//! they fill.

use std::path::{Path, PathBuf};

use tch::nn::VarStore;
use xception::weights::{self, Description, Tensors};
use xception::{CifarScale, ModelOptions, ModelSpec, Preset};

use crate::Error;
use crate::data::cache;
use crate::model_file::{foreign, named_as_ours, weights_file};
use crate::recipe::{HeadStart, Recipe, TransferRecipe};

/// Weights to start from.
pub(crate) struct Pretrained {
    tensors: Tensors,
    description: Description,
    path: PathBuf,
}

impl Pretrained {
    /// Reads what the recipe's table `[transfer]` names; `None` without one.
    pub(crate) fn of(recipe: &Recipe) -> Result<Option<Self>, Error> {
        let Some(TransferRecipe { weights, .. }) = &recipe.transfer else { return Ok(None) };
        let path = find(weights)?;
        let (tensors, metadata) = weights::read(&path)?;
        if let Some(description) = Description::from_metadata(&path, &metadata)? {
            return Ok(Some(Self { tensors, description, path }));
        }
        // A published file does not say what it is; its name does, or else the recipe.
        let named = weights.split('.').next().and_then(|name| name.parse::<Preset>().ok());
        let preset = named.map_or_else(|| recipe.model.preset.parse(), Ok)?;
        let description = foreign(preset, xception::import::classes(preset, &tensors));
        let tensors = named_as_ours(&description.spec, tensors, &metadata)?;
        Ok(Some(Self { tensors, description, path }))
    }

    /// What the file says of its weights.
    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    /// Makes the recipe one for these weights: their network, and pictures as they know them. The size of the pictures
    /// stays the recipe's.
    pub(crate) fn adopt(&self, recipe: &mut Recipe) {
        let Description { spec, mean, std, crop_fraction, interpolation, input, .. } =
            &self.description;
        recipe.model.preset = spec.preset.to_string();
        recipe.model.scale = (spec.preset == Preset::Cifar).then_some::<CifarScale>(spec.scale);
        recipe.model.options = (spec.options != ModelOptions::default()).then_some(spec.options);
        (recipe.normalization.mean, recipe.normalization.std) = (*mean, *std);
        if let Some(own) = &mut recipe.input {
            (own.crop_fraction, own.interpolation) = (*crop_fraction, *interpolation);
            if own.side as i64 != *input {
                tracing::info!(
                    "these weights have seen pictures of {input}×{input} pixels, this run shows them {side}×{side} \
                     (--set input.side={input} changes that)",
                    side = own.side
                );
            }
        }
        if let Some(transfer) = &mut recipe.transfer {
            // From whatever folder the run is resumed.
            let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
            transfer.weights = path.display().to_string();
        }
    }

    /// Copies the weights into the network of `spec` in `store`, the head too if it is to be kept.
    ///
    /// # Errors
    /// Weights of another network, or a head for other classes.
    pub(crate) fn fill(
        mut self,
        store: &VarStore,
        spec: &ModelSpec,
        class_names: &[String],
        head: HeadStart,
    ) -> Result<(), Error> {
        let prefix = format!("{}.", spec.architecture()?.names.head());
        match head {
            HeadStart::New => {
                let own =
                    store.variables().into_iter().filter(|(name, _)| name.starts_with(&prefix));
                self.tensors.retain(|name, _| !name.starts_with(&prefix));
                self.tensors.extend(own.map(|(name, variable)| (name, variable.detach().copy())));
            }
            HeadStart::Kept if self.description.class_names != class_names => {
                return Err(Error::Usage(format!(
                    "the head of {} tells other classes apart than the data have ({} and {}); take \
                     --set transfer.head=new",
                    self.path.display(),
                    some(&self.description.class_names),
                    some(class_names)
                )));
            }
            HeadStart::Kept => {}
        }
        Ok(weights::load(store, &self.tensors)?)
    }
}

/// The first few names.
fn some(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    let more =
        if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
    format!("{}{more}", first.join(", "))
}

/// A file or run as it is; else the weights of this name in the cache.
pub(crate) fn find(weights: &str) -> Result<PathBuf, Error> {
    let path = Path::new(weights);
    // What is written as a path is one, and reading it says what is wrong.
    if path.exists() || path.extension().is_some() || path.components().count() > 1 {
        return weights_file(path);
    }
    let fetched = cache().map(|cache| cache.join("weights"));
    // Beside the file lies a word on where it came from.
    let is_file = |path: &PathBuf| path.extension().is_some_and(|ending| ending != "json");
    let found = fetched.as_ref().and_then(|folder| {
        let entries = std::fs::read_dir(folder.join(weights)).ok()?;
        entries.filter_map(Result::ok).map(|entry| entry.path()).find(is_file)
    });
    found.ok_or_else(|| {
        let folder = fetched.map_or_else(String::new, |folder| folder.display().to_string());
        Error::NoData(format!(
            "{weights} is no file, and no weights of that name are in {folder}; published ones come with \
             `cargo xtask fetch weights {weights}`"
        ))
    })
}
