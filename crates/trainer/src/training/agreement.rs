//! Ranks must agree on what they train before the first step, or they would wait for each other or diverge.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::origin::{arithmetic, fingerprint};
use crate::data::{Data, DataSpec};
use crate::ranks::World;
use crate::recipe::Recipe;
use crate::run::checkpoint::{Arithmetic, Fingerprint, differences, hexadecimal};
use crate::training::Error;

/// Refuses archives where rank 0 has other images, or the other way round: ranks index archives together, and one would
/// wait for the others.
pub(super) fn check_archives(world: &World, spec: &DataSpec) -> Result<(), Error> {
    let own =
        if matches!(spec, DataSpec::Shards(_)) { "archives (shards:DIR)" } else { "no archives" };
    world.check_against_rank_0(
        "kind of data",
        || Ok(own.to_string()),
        |own, of_rank_0| {
            if own == of_rank_0 {
                return Ok(());
            }
            Err(Error::OtherRank(vec![format!("data: on rank 0 it is {of_rank_0}, here {own}")]))
        },
    )
}

/// Refuses to train together with a rank 0 that would train something else.
///
/// Returns on no rank before all have agreed.
pub(super) fn check_ranks(world: &World, recipe: &Recipe, data: &Data) -> Result<(), Error> {
    let own = || {
        let own = Agreement::of(world, recipe, data);
        Ok(serde_json::to_string(&own).expect("plain values"))
    };
    world.check_against_rank_0("origin", own, |own, of_rank_0| {
        let other_version =
            || Error::OtherRank(vec![format!("rank 0 runs another version, here it is {VERSION}")]);
        let of_rank_0 = Agreement::read(of_rank_0).ok_or_else(other_version)?;
        Agreement::read(own).ok_or_else(other_version)?.check(&of_rank_0)
    })?;
    Ok(world.barrier()?)
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Everything that ranks must have in common.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Agreement {
    recipe: Recipe,
    data: Fingerprint,
    /// The number of classes, and a hash of their names.
    classes: String,
    /// Each rank computes the update by itself, and must come to the same bits.
    arithmetic: Arithmetic,
    xception: String,
}

impl Agreement {
    fn of(world: &World, recipe: &Recipe, data: &Data) -> Self {
        // The paths of data and weights may differ between machines. The data may not; weights are rank 0's.
        let mut recipe = Recipe { data: String::new(), ..recipe.clone() };
        if let Some(transfer) = &mut recipe.transfer {
            transfer.weights = String::new();
        }
        Self {
            arithmetic: arithmetic(recipe.precision.resolved(world.device()), world),
            recipe,
            data: fingerprint(data),
            classes: class_names(data),
            xception: VERSION.to_string(),
        }
    }

    fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn check(&self, of_rank_0: &Self) -> Result<(), Error> {
        let here = |line: String| {
            let cure =
                if line.starts_with("arithmetic.threads") { " (set OMP_NUM_THREADS)" } else { "" };
            let line = line.replace(": it was ", ": on rank 0 it is ");
            line.replace(", now it is ", ", here ") + cure
        };
        let differences: Vec<String> = differences(of_rank_0, self).into_iter().map(here).collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::OtherRank(differences))
    }
}

fn class_names(data: &Data) -> String {
    let names = data.class_names();
    let hash = Sha256::digest(names.join("\n"));
    format!("{} with names of sha256 {}", names.len(), hexadecimal(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::ExitCode;
    use crate::recipe::Request;

    #[test]
    fn ranks_that_compute_on_something_else_are_refused() {
        let rank = |device: &str, threads: i32| Agreement {
            recipe: Recipe::resolve(&Request::default()).unwrap(),
            data: Fingerprint {
                name: "any".to_string(),
                training: 100,
                validation: 0,
                test: 10,
                sha256: String::new(),
            },
            classes: String::new(),
            arithmetic: Arithmetic {
                threads,
                precision: "fp32".to_string(),
                device: device.to_string(),
                instruction_set: String::new(),
                libtorch: String::new(),
            },
            xception: String::new(),
        };
        rank("Cpu", 2).check(&rank("Cpu", 2)).unwrap();
        for (own, expected) in [
            (rank("Cpu", 2), r#"arithmetic.device: on rank 0 it is "Cuda(0)", here "Cpu""#),
            (
                rank("Cuda(0)", 3),
                "arithmetic.threads: on rank 0 it is 2, here 3 (set OMP_NUM_THREADS)",
            ),
        ] {
            let error = own.check(&rank("Cuda(0)", 2)).unwrap_err();
            assert_eq!(error.exit_code(), ExitCode::Usage);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
