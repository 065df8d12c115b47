//! What a run's numbers follow from, read off what it is made of, and compared with a checkpoint's.

use sha2::{Digest, Sha256};
use tch::Device;
use torch_ext::InstructionSet;

use crate::Error;
use crate::checkpoint::{Arithmetic, Fingerprint, Origin, differences, hexadecimal};
use crate::data::Data;
use crate::precision::Precision;
use crate::recipe::Recipe;

/// The origin of a run of `recipe` on `data`, here and now.
pub(super) fn origin(recipe: &Recipe, data: &Data, precision: Precision, device: Device) -> Origin {
    Origin {
        recipe: recipe.clone(),
        data: fingerprint(data),
        arithmetic: Arithmetic {
            threads: tch::get_num_threads(),
            precision: precision.name().to_string(),
            device: format!("{device:?}"),
            instruction_set: match torch_ext::has_bf16_matrix_unit() {
                true => format!("{:?} with AMX", InstructionSet::detected()),
                false => format!("{:?}", InstructionSet::detected()),
            },
            libtorch: torch_ext::version().to_string(),
        },
    }
}

fn fingerprint(data: &Data) -> Fingerprint {
    let mut hash = Sha256::new();
    for pictures in [&data.train, &data.test] {
        pictures.identity(&mut |bytes| hash.update(bytes));
    }
    Fingerprint {
        name: data.kind.to_string(),
        training: data.train.len() as u64,
        test: data.test.len() as u64,
        sha256: hexadecimal(&hash.finalize()),
    }
}

/// Refuses to go on with another recipe or other data; warns where only the last bits will differ.
pub(super) fn check(was: &Origin, now: &Origin) -> Result<(), Error> {
    let mut other = recipe_differences(&was.recipe, &now.recipe);
    other.extend(differences(&was.data, &now.data).into_iter().map(|line| format!("data {line}")));
    refuse(other)?;
    let rounding = differences(&was.arithmetic, &now.arithmetic);
    if !rounding.is_empty() {
        tracing::warn!(
            "sums will be rounded otherwise than before, so the run goes on well but not bit for bit as it would \
             have:\n  {}",
            rounding.join("\n  ")
        );
    }
    Ok(())
}

/// Refuses to go on with a run of the recipe `was` as one of `now`.
pub(crate) fn check_recipe(was: &Recipe, now: &Recipe) -> Result<(), Error> {
    refuse(recipe_differences(was, now))
}

/// What makes two recipes different runs: anything but how often they are saved.
fn recipe_differences(was: &Recipe, now: &Recipe) -> Vec<String> {
    let now = Recipe { checkpoints: was.checkpoints, ..now.clone() };
    differences(was, &now)
}

fn refuse(differences: Vec<String>) -> Result<(), Error> {
    match differences.is_empty() {
        true => Ok(()),
        false => Err(Error::OtherRun(differences.join("\n  "))),
    }
}
