//! What a run's numbers follow from, read off what it is made of, and compared with a checkpoint's.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::Device;
use torch_ext::InstructionSet;

use crate::Error;
use crate::checkpoint::{Arithmetic, Fingerprint, Origin, differences, hexadecimal};
use crate::data::Data;
use crate::precision::Precision;
use crate::recipe::Recipe;
use crate::world::World;

/// The origin of a run of `recipe` on `data`, here and now.
pub(super) fn origin(recipe: &Recipe, data: &Data, precision: Precision, world: &World) -> Origin {
    Origin {
        recipe: recipe.clone(),
        data: fingerprint(data),
        ranks: world.size(),
        arithmetic: Arithmetic {
            threads: tch::get_num_threads(),
            precision: precision.name().to_string(),
            // Which of several GPUs makes no difference.
            device: match world.device().is_cuda() {
                true => format!("{:?}", Device::Cuda(0)),
                false => format!("{:?}", Device::Cpu),
            },
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
    let whole = |origin: &Origin| origin.recipe.batch_size * origin.ranks;
    if whole(was) != whole(now) {
        let said = |origin: &Origin| match origin.ranks {
            1 => format!("{} on one rank", origin.recipe.batch_size),
            ranks => format!("{} on each of {ranks} ranks", origin.recipe.batch_size),
        };
        other.push(format!(
            "batch_size: it was {}, now it is {}; the product has to stay",
            said(was),
            said(now)
        ));
    }
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

/// What makes two recipes different runs: anything but how often they are saved, and how many pictures of a batch are
/// each rank's, which depends on how many ranks there are.
fn recipe_differences(was: &Recipe, now: &Recipe) -> Vec<String> {
    let same = (was.checkpoints, was.batch_size);
    let now = Recipe { checkpoints: same.0, batch_size: same.1, ..now.clone() };
    differences(was, &now)
}

/// Refuses to train together with a rank 0 that would train something else.
///
/// Returns on no rank before all have agreed.
pub(crate) fn check_ranks(world: &World, recipe: &Recipe, data: &Data) -> Result<(), Error> {
    if world.size() == 1 {
        return Ok(());
    }
    let own = Together {
        // Where the data lie may differ between machines; what they are may not.
        recipe: Recipe { data: String::new(), ..recipe.clone() },
        data: fingerprint(data),
        libtorch: torch_ext::version().to_string(),
        xception: VERSION.to_string(),
    };
    let text = serde_json::to_string(&own).expect("plain values");
    let said = world.said_by_rank_0("origin", &text)?;
    let of_rank_0: Together = serde_json::from_str(&said)
        .map_err(|_| Error::OtherRank(format!("rank 0 runs another version, this is {VERSION}")))?;
    let differences: Vec<String> = differences(&of_rank_0, &own)
        .into_iter()
        .map(|line| {
            line.replace(": it was ", ": on rank 0 it is ").replace(", now it is ", ", here ")
        })
        .collect();
    match differences.is_empty() {
        true => world.barrier(),
        false => Err(Error::OtherRank(differences.join("\n  "))),
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What ranks must have in common.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Together {
    recipe: Recipe,
    data: Fingerprint,
    libtorch: String,
    xception: String,
}

fn refuse(differences: Vec<String>) -> Result<(), Error> {
    match differences.is_empty() {
        true => Ok(()),
        false => Err(Error::OtherRun(differences.join("\n  "))),
    }
}
