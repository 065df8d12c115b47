//! Reads weights files and builds their networks.

use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor, nn::VarStore};
use xception::import::{self, Imported, Note, Take};
use xception::weights::{self, Contents, Description, Tensors};
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
    /// Reads a file, the last weights of a run, a folder of the hub, or fetched weights by name. A file that does not say its
    /// network belongs to `preset`, or else to the one whose names it has.
    pub(crate) fn read(weights: &str, preset: Asked, take: &Take) -> Result<Self, Error> {
        let path = find(weights)?;
        let contents = weights::read_contents(&path)?;
        if let Some(description) = Description::from_metadata(&path, &contents.metadata)? {
            if *take != Take::First {
                let known = vec![".".to_string()];
                return Err(import::Error::NoCopy { take: take.clone(), known }.into());
            }
            let tensors = contents.into_largest();
            refuse_non_finite(&path, &tensors)?;
            return Ok(Self { tensors, description, path });
        }
        let preset = preset.or_of(&path, &contents, take)?;
        let foreign = Foreign::import(preset, &contents, take)?;
        refuse_non_finite(&path, &foreign.tensors)?;
        for note in &foreign.notes {
            tracing::info!("{}: {note}", path.display());
        }
        Ok(Self { tensors: foreign.tensors, description: foreign.description, path })
    }
}

/// Weights that another program wrote.
pub(crate) struct Foreign {
    pub(crate) tensors: Tensors,
    pub(crate) description: Description,
    pub(crate) notes: Vec<Note>,
}

impl Foreign {
    /// The weights of `preset` in `contents`, with what the file says of itself, or else the conventions of the preset.
    pub(crate) fn import(preset: Preset, contents: &Contents, take: &Take) -> Result<Self, Error> {
        let imported = import::import(&ModelSpec::new(preset), contents, take)?;
        let Imported { tensors, classes, preprocessing, mut notes, .. } = imported;
        let mut description = foreign(preset, Some(classes.unwrap_or(0)));
        let config = contents.config.as_ref();
        let network = config.and_then(|config| config.network.as_ref());
        let said =
            network.filter(|(own, _)| *own == preset).map(|(_, preprocessing)| preprocessing);
        if let Some(preprocessing) = said.or(preprocessing.as_ref()) {
            description.set_preprocessing(preprocessing);
        }
        let classes = description.spec.classes;
        match config.and_then(|config| config.class_names.as_ref()) {
            Some(names) if names.len() as i64 == classes => {
                description.class_names.clone_from(names);
            }
            Some(names) if classes > 0 => {
                notes.push(Note::OtherNames { names: names.len(), classes });
            }
            _ => {}
        }
        Ok(Self { tensors, description, notes })
    }
}

/// The network that somebody asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked {
    /// This one.
    For(Preset),
    /// None.
    Nothing,
    /// None; of several that fit, this one.
    Rather(Preset),
}

impl Asked {
    /// The network that the name of `weights` says: of published ones for sure, of a file that is there perhaps.
    pub(crate) fn by_name(weights: &str) -> Self {
        match (named(weights), Path::new(weights).exists()) {
            (Some(preset), false) => Asked::For(preset),
            (Some(preset), true) => Asked::Rather(preset),
            (None, _) => Asked::Nothing,
        }
    }

    /// The preset of `contents`, which do not say it: the one that was asked for, that of the description beside them, or
    /// the one whose names they have.
    ///
    /// # Errors
    /// Names of none, or of several.
    pub(crate) fn or_of(
        self,
        path: &Path,
        contents: &Contents,
        take: &Take,
    ) -> Result<Preset, Error> {
        if let Asked::For(preset) = self {
            return Ok(preset);
        }
        if let Some((preset, _)) = contents.config.as_ref().and_then(|config| config.network) {
            return Ok(preset);
        }
        let fitting = import::presets(contents, take);
        match (self, &fitting[..]) {
            (Asked::Rather(preset), several) if several.len() != 1 => Ok(preset),
            (_, &[only]) => {
                let file = path.display();
                tracing::info!("{file}: its tensors are those of preset '{only}'");
                Ok(only)
            }
            _ => {
                let nearest = import::nearest(contents).filter(|_| fitting.is_empty());
                Err(Error::NoPreset { path: path.to_path_buf(), presets: fitting, nearest })
            }
        }
    }
}

/// The preset of published weights: the part of their name before a dot.
fn named(weights: &str) -> Option<Preset> {
    weights.split('.').next()?.parse().ok()
}

/// A network with its weights.
pub(crate) struct Loaded {
    /// Owns the variables.
    store: VarStore,
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
        let preset = asked.map_or_else(|| Asked::by_name(&arguments.weights), Asked::For);
        let WeightsFile { tensors, description, path } =
            WeightsFile::read(&arguments.weights, preset, &arguments.take())?;
        if description.spec.classes == 0 {
            return Err(Error::NoHead { path });
        }
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
        Ok(Self { store, model, description, path })
    }
}

impl Loaded {
    /// A copy of the weights, in fp32 on the CPU.
    pub(crate) fn tensors(&self) -> Tensors {
        let on_cpu = |tensor: Tensor| tensor.to_device(Device::Cpu).to_kind(Kind::Float);
        let tensors = weights::snapshot(&self.store);
        tensors.into_iter().map(|(name, tensor)| (name, on_cpu(tensor))).collect()
    }
}

/// Refuses weights with which every answer is no number.
pub(crate) fn refuse_non_finite(path: &Path, tensors: &Tensors) -> Result<(), Error> {
    let is_finite = |tensor: &Tensor| {
        !tensor.is_floating_point() || tensor.isfinite().all().int64_value(&[]) == 1
    };
    match tensors.iter().find(|(_, tensor)| !is_finite(tensor)) {
        Some((name, _)) => Err(Error::NotFinite { path: path.to_path_buf(), tensor: name.clone() }),
        None => Ok(()),
    }
}

/// The path of a file or of a run's weights; else of fetched weights with this name.
pub(crate) fn find(weights: &str) -> Result<PathBuf, Error> {
    if weights.trim().is_empty() {
        return Err(Error::EmptyName);
    }
    let path = Path::new(weights);
    // A folder that is no run, such as a checkout, may have the name of published weights.
    let is_another = named(weights).is_some() && path.is_dir() && weights_file(path).is_err();
    // A name with the form of a path is a path, also where nothing is there: reading it fails with the reason.
    if !is_another && (path.exists() || path.extension().is_some() || path.components().count() > 1)
    {
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

/// The path of a file, or of a folder of the hub; for the folder of a run, of its last weights.
fn weights_file(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() || weights::is_hub(path) {
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
    Description::new(spec, class_names, &preset.preprocessing(), "unknown")
}

#[cfg(test)]
mod tests {
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
