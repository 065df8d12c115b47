//! Weights in and out: safetensors files under the published names, checked to the last tensor.
//!
//! The safetensors crate validates the container. On top of that the names and every shape must be exactly the
//! network's, all problems are reported at once, and a file is complete or absent: it is written beside its place,
//! synced, and renamed.

mod channels;
mod contents;
mod description;
mod error;
mod file;
mod hub;
mod labels;
mod mismatch;
mod open;

pub use channels::adapt_input;
pub use contents::{Contents, Dictionary, HubConfig, Tensors};
pub use description::Description;
pub use error::Error;
pub use file::{parse, serialize, write, write_whole, write_whole_from};
pub use hub::{is_hub, write_hub};
pub use labels::Labels;
pub use mismatch::{Mismatch, Problem};
pub use open::{read, read_contents};

use std::collections::BTreeMap;

use tch::nn::VarStore;

pub use crate::preprocessing::{Fit, Interpolation};

/// Copies `tensors` into the variables of `store`, cast to the variables' kind.
///
/// The names must be exactly the store's and each shape must agree. Counters named `num_batches_tracked`, which PyTorch
/// keeps and nothing here needs, are ignored. PyTorch: `load_state_dict(strict=True)`.
///
/// # Errors
/// Names or shapes that differ. Nothing is copied then, and the error lists every problem.
pub fn load(store: &VarStore, tensors: &Tensors) -> Result<(), Error> {
    let variables: BTreeMap<_, _> = store.variables().into_iter().collect();
    let mut problems = Vec::new();
    for (name, variable) in &variables {
        match tensors.get(name).filter(|tensor| tensor.defined()) {
            None => problems.push(Problem::Missing { name: name.clone() }),
            Some(tensor) if tensor.size() != variable.size() => {
                problems.push(Problem::Shape {
                    name: name.clone(),
                    expected: variable.size(),
                    got: tensor.size(),
                });
            }
            Some(_) => {}
        }
    }
    let unexpected =
        tensors.keys().filter(|name| !variables.contains_key(*name) && !is_counter(name));
    problems.extend(unexpected.map(|name| Problem::Unexpected { name: name.clone() }));
    Mismatch::check(problems)?;
    tch::no_grad(|| {
        for (name, mut variable) in variables {
            variable.copy_(&tensors[&name]);
        }
    });
    Ok(())
}

/// A detached copy of every variable of `store`, under its name. PyTorch: `state_dict`.
#[must_use]
pub fn snapshot(store: &VarStore) -> Tensors {
    store.variables().into_iter().map(|(name, variable)| (name, variable.detach().copy())).collect()
}

/// Whether PyTorch keeps this buffer only to count batches.
pub(crate) fn is_counter(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
}

#[cfg(test)]
mod tests;
