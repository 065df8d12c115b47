//! From a weights file to a network that is ready to look at pictures.

use std::path::{Path, PathBuf};

use tch::{Device, nn::VarStore};
use xception::weights::{self, Description};
use xception::{ModelSpec, Preset, Xception};

use crate::Error;
use crate::cli::WeightsArgs;

/// A network with its weights, and what it is for.
pub(crate) struct Loaded {
    /// Owns the variables.
    _store: VarStore,
    /// The network.
    pub(crate) model: Xception,
    /// What the file says of itself, or the preset's conventions for a foreign file.
    pub(crate) description: Description,
    /// The file that was read.
    pub(crate) path: PathBuf,
}

impl Loaded {
    /// Reads the weights that `arguments` name and builds the network they belong to.
    pub(crate) fn open(arguments: &WeightsArgs) -> Result<Self, Error> {
        let path = weights_file(&arguments.weights)?;
        let (tensors, metadata) = weights::read(&path)?;
        let asked = arguments.preset.as_deref().map(str::parse::<Preset>).transpose()?;
        let description = match (Description::from_metadata(&path, &metadata)?, asked) {
            (Some(description), Some(asked)) if asked != description.spec.preset => {
                let said = description.spec.preset;
                return Err(Error::Usage(format!(
                    "{} holds weights of preset '{said}', not '{asked}'; leave --preset out",
                    path.display()
                )));
            }
            (Some(description), _) => description,
            (None, Some(preset)) => {
                foreign(preset, tensors.get("fc.weight").and_then(|fc| fc.size().first().copied()))
            }
            (None, None) => {
                return Err(Error::Usage(format!(
                    "{} does not say which network it belongs to; add --preset",
                    path.display()
                )));
            }
        };
        let store = VarStore::new(Device::cuda_if_available());
        let model = Xception::new(
            &store.root(),
            &description.spec.architecture()?,
            description.spec.classes,
        )?;
        weights::load(&store, &tensors)?;
        Ok(Self { _store: store, model, description, path })
    }
}

/// A file as it is; of a run's folder, the last weights.
fn weights_file(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let last = path.join("last.safetensors");
    if last.is_file() {
        return Ok(last);
    }
    Err(Error::Usage(format!(
        "{} is a folder without last.safetensors, so it is not a run that finished an epoch",
        path.display()
    )))
}

/// What is known of a file that says nothing: its preset's conventions.
pub(crate) fn foreign(preset: Preset, classes: Option<i64>) -> Description {
    let spec = ModelSpec { classes: classes.unwrap_or(preset.classes()), ..ModelSpec::new(preset) };
    let (normalization, set) = match preset {
        Preset::Xception | Preset::XceptionKeras => (datasets::Normalization::HALF, None),
        Preset::NotebookCifar10 | Preset::PlainShared | Preset::Cifar => {
            (datasets::Normalization::CIFAR10_NOTEBOOK, Some(datasets::Cifar::Cifar10))
        }
        Preset::DenseCifar100 | Preset::DenseCifar100First | Preset::DenseCifar100Depthwise => {
            (datasets::Normalization::CIFAR100, Some(datasets::Cifar::Cifar100))
        }
    };
    let known = set.map(|set| set.class_names()).filter(|names| names.len() as i64 == spec.classes);
    let class_names = match known {
        Some(names) => names.iter().map(ToString::to_string).collect(),
        None => (0..spec.classes).map(|class| format!("class {class}")).collect(),
    };
    Description {
        spec,
        class_names,
        input: preset.input(),
        mean: normalization.mean,
        std: normalization.std,
        data: "unknown".to_string(),
    }
}
