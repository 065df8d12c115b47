//! Foreign state dicts, under the names of the script that made them, brought onto our names.
//!
//! Every name of the original must be there and none besides, every shape must fit, and names that stand for one
//! shared tensor must agree; whatever is wrong is reported at once.

mod keras_file;
mod originals;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use tch::{Device, Tensor, nn::VarStore};

use crate::weights::{Mismatch, Problem, Tensors, is_counter};
use crate::{Error, ModelSpec, Preset, Xception};

pub use sources::Source;

/// A state dict that is not the original's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot import as preset '{preset}': {mismatch}")]
pub struct ImportError {
    /// The preset whose original was expected.
    pub preset: String,
    /// All that does not fit, under the original's names.
    pub mismatch: Mismatch,
}

/// Where each of our variables stands in the original's state dict.
pub fn sources(spec: &ModelSpec) -> Result<BTreeMap<String, Source>, Error> {
    let store = VarStore::new(Device::Cpu);
    Xception::new(&store.root(), &spec.architecture()?, spec.classes)?;
    let names = store.variables().into_iter().map(|(name, variable)| (name, variable.size()));
    Ok(names.map(|(name, shape)| (name.clone(), originals::source(spec, &name, shape))).collect())
}

/// Maps the original's `tensors` onto our names.
///
/// `metadata` is the file's: a safetensors file written by `save_model` holds a shared tensor once, and says in its
/// metadata which name stands for which.
pub fn import(
    spec: &ModelSpec,
    tensors: &Tensors,
    metadata: &BTreeMap<String, String>,
) -> Result<Tensors, Error> {
    let renamed = (spec.preset == Preset::XceptionKeras).then(|| keras_file::named(tensors));
    let tensors = &renamed.flatten().unwrap_or_else(|| unsqueezed(tensors));
    let find = |name: &String| tensors.get(name).or_else(|| tensors.get(metadata.get(name)?));
    let mut imported = Tensors::new();
    let mut expected = BTreeSet::new();
    let mut problems = Vec::new();
    for (ours, source) in sources(spec)? {
        let mut first: Option<&Tensor> = None;
        for name in &source.names {
            expected.insert(name.clone());
            match find(name) {
                None => problems.push(Problem::Missing { name: name.clone() }),
                Some(tensor) if tensor.size() != source.shape => problems.push(Problem::Shape {
                    name: name.clone(),
                    expected: source.shape.clone(),
                    got: tensor.size(),
                }),
                Some(tensor) if first.is_some_and(|first| !first.equal(tensor)) => {
                    problems.push(Problem::Unequal {
                        name: source.names[0].clone(),
                        other: name.clone(),
                    });
                }
                Some(tensor) => first = first.or(Some(tensor)),
            }
        }
        if let Some(tensor) = first {
            imported.insert(ours, source.permuted(tensor));
        }
    }
    let known = |name: &str| expected.contains(name) || is_counter(name);
    let unexpected = tensors.keys().filter(|name| !known(name));
    problems.extend(unexpected.map(|name| Problem::Unexpected { name: name.clone() }));
    Mismatch::check(problems)
        .map_err(|mismatch| ImportError { preset: spec.preset.to_string(), mismatch })?;
    Ok(imported)
}

/// The same, but for pointwise kernels without the two axes of length 1 that early PyTorch left out of files.
fn unsqueezed(tensors: &Tensors) -> Tensors {
    let four_axes = |(name, tensor): (&String, &Tensor)| {
        let short = tensor.dim() == 2 && name.ends_with(".pointwise.weight");
        let whole = if short { tensor.unsqueeze(-1).unsqueeze(-1) } else { tensor.shallow_clone() };
        (name.clone(), whole)
    };
    tensors.iter().map(four_axes).collect()
}

/// The number of classes of an original's state dict: the length of its last bias, where it has one.
pub fn classes(preset: Preset, tensors: &Tensors) -> Option<i64> {
    let renamed = (preset == Preset::XceptionKeras).then(|| keras_file::named(tensors)).flatten();
    let tensors = renamed.as_ref().unwrap_or(tensors);
    let spec = ModelSpec::new(preset);
    let bias = format!("{}.bias", spec.architecture().ok()?.names.head());
    let source = originals::source(&spec, &bias, vec![preset.classes()]);
    tensors.get(&source.names[0])?.size().first().copied()
}
