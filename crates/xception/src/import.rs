//! The import of foreign state dicts, which have the names of the script that made them, onto our names.
//!
//! Every name of the original must be there and no other, every shape must fit, and names that stand for one shared
//! tensor must agree; all problems are reported at once.

mod keras_file;
mod originals;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use tch::Tensor;

use crate::out_of_range::OutOfRange;
use crate::outline::Outline;
use crate::preset::{ModelSpec, Preset};
use crate::weights::{Mismatch, Problem, Tensors, is_counter};

pub use sources::Source;

/// A state dict that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Tensors that are not the original's.
    #[error("cannot import as preset '{preset}': {mismatch}")]
    Mismatch {
        /// The preset whose original was expected.
        preset: Preset,
        /// Every problem, under the original's names.
        mismatch: Mismatch,
    },
    /// A scale, an option or a number of classes that no network has.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
}

/// The place of each of our variables in the original's state dict.
///
/// # Errors
/// A scale, an option or a number of classes out of range.
pub fn sources(spec: &ModelSpec) -> Result<BTreeMap<String, Source>, Error> {
    let variables = Outline::new(&spec.architecture()?, spec.classes)?.variables();
    let source = |(name, shape): (String, Vec<i64>)| {
        let source = originals::source(spec, &name, shape);
        (name, source)
    };
    Ok(variables.into_iter().map(source).collect())
}

/// The original's `tensors` under our names, and in our order of axes.
///
/// `metadata` is the file's: a safetensors file written by `save_model` holds a shared tensor once, and says in its
/// metadata which name stands for which.
///
/// # Errors
/// Names, shapes or shared tensors that are not the original's; the error lists every problem. A scale, an option or a
/// number of classes out of range.
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
        .map_err(|mismatch| Error::Mismatch { preset: spec.preset, mismatch })?;
    Ok(imported)
}

/// The same tensors, with the two axes of length 1 of pointwise kernels, which early PyTorch left out of files.
fn unsqueezed(tensors: &Tensors) -> Tensors {
    let four_axes = |(name, tensor): (&String, &Tensor)| {
        let short = tensor.dim() == 2 && name.ends_with(".pointwise.weight");
        let whole = if short { tensor.unsqueeze(-1).unsqueeze(-1) } else { tensor.shallow_clone() };
        (name.clone(), whole)
    };
    tensors.iter().map(four_axes).collect()
}

/// The number of classes of an original's state dict: the length of its last bias; `None` where it has none.
#[must_use]
pub fn classes(preset: Preset, tensors: &Tensors) -> Option<i64> {
    let renamed = (preset == Preset::XceptionKeras).then(|| keras_file::named(tensors)).flatten();
    let tensors = renamed.as_ref().unwrap_or(tensors);
    let spec = ModelSpec::new(preset);
    let bias = format!("{}.bias", spec.architecture().ok()?.names.head());
    let source = originals::source(&spec, &bias, vec![preset.classes()]);
    tensors.get(&source.names[0])?.size().first().copied()
}
