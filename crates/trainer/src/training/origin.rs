//! The origin of a run: everything that its numbers follow from, compared with a checkpoint's before the run resumes.

use datasets::Share;
use sha2::{Digest, Sha256};
use tch::Device;

use crate::data::Data;
use crate::instructions;
use crate::precision::Precision;
use crate::ranks::World;
use crate::recipe::Recipe;
use crate::run::checkpoint::{Arithmetic, Fingerprint, Origin, differences, hexadecimal};
use crate::training::Error;

/// The origin of a run of `recipe` on `data` in this process.
pub(super) fn origin(recipe: &Recipe, data: &Data, precision: Precision, world: &World) -> Origin {
    Origin {
        recipe: recipe.clone(),
        data: fingerprint(data),
        ranks: world.ranks(),
        arithmetic: arithmetic(precision, world),
    }
}

pub(super) fn arithmetic(precision: Precision, world: &World) -> Arithmetic {
    Arithmetic {
        threads: tch::get_num_threads(),
        precision: precision.name().to_string(),
        // The number of the GPU makes no difference.
        device: format!(
            "{:?}",
            if world.device().is_cuda() { Device::Cuda(0) } else { Device::Cpu }
        ),
        instruction_set: instructions::in_use(),
        libtorch: torch_ext::version().to_string(),
    }
}

pub(super) fn fingerprint(data: &Data) -> Fingerprint {
    let mut hash = Sha256::new();
    for images in
        [Some(&data.train), data.validation.as_ref(), Some(&data.test)].into_iter().flatten()
    {
        images.identity(&mut |bytes| hash.update(bytes));
    }
    Fingerprint {
        name: data.kind.to_string(),
        training: data.train.len() as u64,
        validation: data.validation.as_ref().map_or(0, |images| images.len() as u64),
        test: data.test.len() as u64,
        sha256: hexadecimal(&hash.finalize()),
    }
}

/// Refuses to resume with another recipe or other data; warns where only the last bits will differ.
pub(super) fn check(was: &Origin, now: &Origin) -> Result<(), Error> {
    // `--extend` gives a run more epochs. The recipe in the run's folder has them, which was compared before.
    let epochs = was.recipe.epochs.max(now.recipe.epochs);
    let extended = Recipe { epochs, ..was.recipe.clone() };
    let mut other = recipe_differences(&extended, &now.recipe);
    let whole = |origin: &Origin| origin.recipe.batch_size * origin.ranks;
    if whole(was) != whole(now) {
        let shown = |origin: &Origin| shares(&origin.recipe, origin.ranks);
        other.push(format!(
            "batch_size: it was {}, now it is {}; the product has to stay: {}",
            shown(was),
            shown(now),
            cure(was, now.ranks)
        ));
    } else if batches(was) != batches(now) && was.ranks != now.ranks {
        let rest = match was.data.training as usize % whole(was) {
            1 => "1 image at its end is".to_string(),
            rest => format!("{rest} images at its end are"),
        };
        other.push(format!(
            "batches in an epoch: there were {}, now there are {}; the {rest} too few for {} ranks, so resume with {}",
            batches(was),
            batches(now),
            was.ranks.max(now.ranks),
            was.ranks,
        ));
    }
    other.extend(differences(&was.data, &now.data).into_iter().map(|line| format!("data {line}")));
    refuse(other)?;
    let rounding = differences(&was.arithmetic, &now.arithmetic);
    if !rounding.is_empty() {
        tracing::warn!(
            "arithmetic settings changed: the run resumes, but not bit for bit as it would have:\n  {}",
            rounding.join("\n  ")
        );
    }
    Ok(())
}

/// Batches in an epoch. A remainder that is too small for all ranks is none.
fn batches(origin: &Origin) -> usize {
    let share = Share { rank: 0, world_size: origin.ranks };
    share.batches(origin.data.training as usize, origin.recipe.batch_size * origin.ranks)
}

/// Refuses to restart a run of which nothing was saved in other batches: it starts as it was meant to.
pub(super) fn check_unsaved(
    (was, ranks_then): (&Recipe, usize),
    (now, ranks_now): (&Recipe, usize),
) -> Result<(), Error> {
    let (then, now) = (shares(was, ranks_then), shares(now, ranks_now));
    let text = format!(
        "batch_size: it was {then}, now it is {now}, and there is no checkpoint yet that other ranks could resume from"
    );
    refuse(if then == now { Vec::new() } else { vec![text] })
}

/// The command that resumes a run of `was` on `ranks`.
fn cure(was: &Origin, ranks: usize) -> String {
    let whole = was.recipe.batch_size * was.ranks;
    let as_before = match was.ranks {
        1 => format!("batch_size={whole} on one rank"),
        ranks => format!("batch_size={} on {ranks} ranks", was.recipe.batch_size),
    };
    if whole.is_multiple_of(ranks) && ranks != was.ranks {
        format!("resume with {as_before}, or here with --set batch_size={}", whole / ranks)
    } else {
        format!("resume with {as_before}")
    }
}

fn shares(recipe: &Recipe, ranks: usize) -> String {
    match ranks {
        1 => format!("{} on one rank", recipe.batch_size),
        _ => format!("{} on each of {ranks} ranks", recipe.batch_size),
    }
}

/// Refuses to resume a run of the recipe `was` as one of `now`.
pub(super) fn check_recipe(was: &Recipe, now: &Recipe) -> Result<(), Error> {
    refuse(recipe_differences(was, now))
}

/// The differences that make two recipes different runs: everything but how often they are saved, and the batch size of a
/// rank, which depends on the number of ranks.
fn recipe_differences(was: &Recipe, now: &Recipe) -> Vec<String> {
    let Recipe { checkpoints, batch_size, launch, .. } = *was;
    let now = Recipe { checkpoints, batch_size, launch, ..now.clone() };
    differences(was, &now)
}

fn refuse(differences: Vec<String>) -> Result<(), Error> {
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::OtherRun(differences))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::ExitCode;
    use crate::recipe::Request;

    fn fingerprint(training: u64) -> Fingerprint {
        Fingerprint {
            name: "any".to_string(),
            training,
            validation: 0,
            test: 10,
            sha256: String::new(),
        }
    }

    fn recipe(batch_size: usize) -> Recipe {
        let set = vec![format!("batch_size={batch_size}")];
        Recipe::resolve(&Request { set, ..Request::default() }).unwrap()
    }

    fn origin(training: u64, batch_size: usize, ranks: usize) -> Origin {
        let arithmetic = Arithmetic {
            threads: 1,
            precision: "fp32".to_string(),
            device: "Cpu".to_string(),
            instruction_set: String::new(),
            libtorch: String::new(),
        };
        let (recipe, data) = (recipe(batch_size), fingerprint(training));
        Origin { recipe, data, ranks, arithmetic }
    }

    #[test]
    fn other_ranks_resume_where_batches_stay_the_same() {
        for (training, was, now) in [
            (12_802, (64, 2), (128, 1)),
            (12_801, (64, 2), (64, 2)),
            (12_800, (64, 2), (32, 4)),
            (12_803, (64, 2), (128, 1)),
        ] {
            let [was, now] = [was, now].map(|(size, ranks)| origin(training, size, ranks));
            check(&was, &now).unwrap();
        }
        let refused = |training, was: (usize, usize), now: (usize, usize), expected: &str| {
            let [was, now] = [was, now].map(|(size, ranks)| origin(training, size, ranks));
            let error = check(&was, &now).unwrap_err();
            assert_eq!(error.exit_code(), ExitCode::Usage);
            assert!(error.to_string().contains(expected), "{error}");
        };
        refused(
            12_801,
            (64, 2),
            (128, 1),
            "batches in an epoch: there were 100, now there are 101; the 1 image at its end is too few for 2 ranks, so \
             resume with 2",
        );
        refused(12_802, (64, 2), (32, 4), "there were 101, now there are 100");
        refused(
            12_800,
            (64, 2),
            (64, 1),
            "it was 64 on each of 2 ranks, now it is 64 on one rank; the product has to stay: resume with batch_size=64 on \
             2 ranks, or here with --set batch_size=128",
        );
    }

    #[test]
    fn without_a_checkpoint_a_run_starts_as_it_was_meant_to() {
        let (small, large) = (recipe(64), recipe(128));
        check_unsaved((&small, 2), (&small, 2)).unwrap();
        for (was, now) in
            [((&small, 2), (&small, 1)), ((&large, 1), (&small, 2)), ((&small, 1), (&large, 1))]
        {
            let error = check_unsaved(was, now).unwrap_err();
            assert!(error.to_string().contains("no checkpoint yet"), "{error}");
        }
    }
}
