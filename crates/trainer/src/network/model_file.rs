//! Reads weights files and builds their networks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::{Device, Tensor, nn::VarStore};
use xception::weights::{self, Description, Tensors};
use xception::{ModelSpec, Preset, Xception};

use crate::data::cache;
use crate::network::Error;
use crate::network::weights_name::WeightsArgs;

/// The 1000 classes of ImageNet, in the order of all published weights: the first word of WordNet 3.0 for each.
const IMAGENET: &str = include_str!("imagenet_names.txt");

/// The content of a weights file: tensors under our names, and its metadata or else the conventions of its preset.
pub(crate) struct WeightsFile {
    pub(crate) tensors: Tensors,
    pub(crate) description: Description,
    pub(crate) path: PathBuf,
}

impl WeightsFile {
    /// Reads a file, the last weights of a run, or fetched ones by name. A file without metadata belongs to `preset`.
    pub(crate) fn read(weights: &str, preset: Option<Preset>) -> Result<Self, Error> {
        let path = find(weights)?;
        let (tensors, metadata) = weights::read(&path)?;
        refuse_non_finite(&path, &tensors)?;
        if let Some(description) = Description::from_metadata(&path, &metadata)? {
            return Ok(Self { tensors, description, path });
        }
        let preset = preset.ok_or_else(|| Error::NoPreset { path: path.clone() })?;
        let description = foreign(preset, xception::import::classes(preset, &tensors));
        let tensors = named_as_ours(&description.spec, tensors, &metadata)?;
        Ok(Self { tensors, description, path })
    }
}

/// The preset of published weights: the part of their name before a dot.
pub(crate) fn named(weights: &str) -> Option<Preset> {
    weights.split('.').next()?.parse().ok()
}

/// A network with its weights.
pub(crate) struct Loaded {
    /// Owns the variables.
    _store: VarStore,
    /// The network.
    pub(crate) model: Xception,
    /// The metadata of the file, or the conventions of its preset for a foreign file.
    pub(crate) description: Description,
    /// The file that was read.
    pub(crate) path: PathBuf,
}

impl Loaded {
    /// Reads the weights that `arguments` name and builds the network they belong to.
    pub(crate) fn open(arguments: &WeightsArgs) -> Result<Self, Error> {
        let asked = arguments.preset.as_deref().map(str::parse::<Preset>).transpose()?;
        let preset = asked.or_else(|| named(&arguments.weights));
        let WeightsFile { tensors, description, path } =
            WeightsFile::read(&arguments.weights, preset)?;
        let own = description.spec.preset;
        if let Some(asked) = asked.filter(|asked| *asked != own) {
            return Err(Error::OtherPreset { path, own, asked });
        }
        let store = VarStore::new(Device::cuda_if_available());
        let model = Xception::new(
            store.root(),
            &description.spec.architecture()?,
            description.spec.classes,
        )?;
        weights::load(&store, &tensors)?;
        Ok(Self { _store: store, model, description, path })
    }
}

/// Refuses weights with which every answer is no number.
fn refuse_non_finite(path: &Path, tensors: &Tensors) -> Result<(), Error> {
    let is_finite = |tensor: &Tensor| {
        !tensor.is_floating_point() || tensor.isfinite().all().int64_value(&[]) == 1
    };
    match tensors.iter().find(|(_, tensor)| !is_finite(tensor)) {
        Some((name, _)) => Err(Error::NotFinite { path: path.to_path_buf(), tensor: name.clone() }),
        None => Ok(()),
    }
}

/// The tensors of a foreign file under our names; the file has these already, or those of the original.
fn named_as_ours(
    spec: &ModelSpec,
    tensors: Tensors,
    metadata: &BTreeMap<String, String>,
) -> Result<Tensors, Error> {
    let ours = xception::import::sources(spec)?;
    if ours.keys().all(|name| tensors.contains_key(name)) {
        return Ok(tensors);
    }
    Ok(xception::import::import(spec, &tensors, metadata)?)
}

/// The path of a file or of a run's weights; else of fetched weights with this name.
fn find(weights: &str) -> Result<PathBuf, Error> {
    let path = Path::new(weights);
    // A name with the form of a path is a path, also where nothing is there: reading it fails with the reason.
    if path.exists() || path.extension().is_some() || path.components().count() > 1 {
        return weights_file(path);
    }
    let fetched = cache().map(|cache| cache.join("weights"));
    // A JSON file beside the weights says where they came from.
    let is_file = |path: &PathBuf| path.extension().is_some_and(|ending| ending != "json");
    let found = fetched.as_ref().and_then(|folder| {
        let entries = std::fs::read_dir(folder.join(weights)).ok()?;
        entries.filter_map(Result::ok).map(|entry| entry.path()).find(is_file)
    });
    found.ok_or_else(|| Error::NoWeights {
        name: weights.to_string(),
        folder: fetched,
        is_published: named(weights).is_some(),
    })
}

/// The path of a file; for the folder of a run, of its last weights.
fn weights_file(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let last = path.join("last.safetensors");
    if last.is_file() {
        return Ok(last);
    }
    Err(Error::NoLastWeights { folder: path.to_path_buf() })
}

/// The description of a file without metadata: the conventions of its preset.
pub(crate) fn foreign(preset: Preset, classes: Option<i64>) -> Description {
    let spec = ModelSpec { classes: classes.unwrap_or(preset.classes()), ..ModelSpec::new(preset) };
    let set = match preset.classes() {
        10 => Some(datasets::Cifar::Cifar10),
        100 => Some(datasets::Cifar::Cifar100),
        _ => None,
    };
    let known: Option<Vec<&str>> = match set {
        Some(set) => Some(set.class_names().to_vec()),
        None => Some(IMAGENET.lines().collect()),
    };
    let class_names = match known.filter(|names| names.len() as i64 == spec.classes) {
        Some(names) => names.iter().map(ToString::to_string).collect(),
        None => (0..spec.classes).map(|class| format!("class {class}")).collect(),
    };
    let preprocessing = preset.preprocessing();
    Description {
        spec,
        class_names,
        input: preprocessing.side,
        crop_fraction: preprocessing.crop_fraction,
        interpolation: preprocessing.interpolation,
        mean: preprocessing.mean,
        std: preprocessing.std,
        data: "unknown".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn weights_that_are_no_numbers_are_refused_by_name() {
        let ones = || Tensor::ones([3], (Kind::Float, Device::Cpu));
        let counter = Tensor::from_slice(&[1_i64]);
        let file = Path::new("w.safetensors");
        for wrong in [f64::NAN, f64::INFINITY] {
            let mut spoilt = ones();
            drop(spoilt.get(1).fill_(wrong));
            let mut tensors =
                Tensors::from([("a".to_string(), ones()), ("n".to_string(), counter.copy())]);
            refuse_non_finite(file, &tensors).unwrap();
            tensors.insert("b.weight".to_string(), std::mem::replace(&mut spoilt, ones()));
            let error = refuse_non_finite(file, &tensors).unwrap_err();
            assert!(
                error.to_string().starts_with("w.safetensors has numbers in b.weight"),
                "{error}"
            );
        }
    }
}
