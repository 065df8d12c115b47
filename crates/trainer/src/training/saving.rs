//! When a run is saved, and what a disk that refuses means to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Error;
use crate::ranks::World;
use crate::recipe::CheckpointRecipe;
use crate::run::checkpoint::{Checkpoint, Checkpoints, Files, Found, PassedOver};

/// Attempts that may fail one after the other while training goes on: a disk that is full now may not be later.
const ATTEMPTS: u32 = 3;

/// Whether a run can go on without this checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// There will be another.
    Routine,
    /// The program ends with it.
    Last,
}

/// Saves a run from time to time.
pub(super) struct Saver {
    /// Where this rank saves; the others leave it to rank 0.
    checkpoints: Option<Checkpoints>,
    interval: Duration,
    last: Instant,
    /// The newest good checkpoint that this process has seen, and the steps behind the run in it.
    newest: Option<(PathBuf, u64)>,
    failures: u32,
}

impl Saver {
    /// Saves to `checkpoints` as `recipe` says, or leaves it to rank 0.
    pub(super) fn new(checkpoints: Option<Checkpoints>, recipe: CheckpointRecipe) -> Self {
        let interval = Duration::from_secs_f64(recipe.every_minutes * 60.0);
        Self { checkpoints, interval, last: Instant::now(), newest: None, failures: 0 }
    }

    /// Whether it is time again.
    pub(super) fn due(&self) -> bool {
        self.checkpoints.is_some() && self.last.elapsed() >= self.interval
    }

    /// Whether the run is saved as it was after `step` steps.
    pub(super) fn has(&self, step: u64) -> bool {
        self.newest.as_ref().is_some_and(|(_, saved)| *saved == step)
    }

    /// The newest good checkpoint that this process has seen.
    pub(super) fn newest(&self) -> Option<&Path> {
        self.newest.as_ref().map(|(place, _)| place.as_path())
    }

    /// Reads the newest good checkpoint on rank 0, for all; says why newer ones were passed over.
    pub(super) fn read(&mut self, world: &World) -> Result<Option<Checkpoint>, Error> {
        match self.read_own()? {
            Some(checkpoint) if world.size() == 1 => Ok(Some(checkpoint)),
            own => of_rank_0(own, world),
        }
    }

    fn read_own(&mut self) -> Result<Option<Checkpoint>, Error> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(None) };
        let Found { newest, passed_over } = checkpoints.newest()?;
        for PassedOver { folder, reason } in &passed_over {
            tracing::warn!("passed over {}: {reason}", folder.display());
        }
        if newest.is_none() && !passed_over.is_empty() {
            let folders = passed_over.into_iter().map(|passed| passed.folder.display().to_string());
            return Err(Error::NoCheckpoint(folders.collect::<Vec<_>>().join(", ")));
        }
        Ok(newest.map(|(place, checkpoint)| {
            self.newest = Some((place, checkpoint.state.step));
            checkpoint
        }))
    }

    /// Saves. Where that fails the run is told and goes on, unless it failed some times in a row or there is nothing to
    /// go on to.
    pub(super) fn save(&mut self, checkpoint: &Checkpoint, need: Need) -> Result<(), Error> {
        self.last = Instant::now();
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        match checkpoints.save(checkpoint) {
            Ok(place) => {
                self.failures = 0;
                self.newest = Some((place, checkpoint.state.step));
                Ok(())
            }
            Err(error) => self.bear(Error::from(error), need),
        }
    }

    /// Weights beside the checkpoints that could not be written are borne as those are.
    pub(super) fn bear_weights(
        &mut self,
        written: Result<(), xception::Error>,
    ) -> Result<(), Error> {
        match written {
            Err(error @ xception::Error::File { .. }) => self.bear(error.into(), Need::Routine),
            other => Ok(other?),
        }
    }

    fn bear(&mut self, error: Error, need: Need) -> Result<(), Error> {
        self.failures += 1;
        if need == Need::Last || self.failures >= ATTEMPTS {
            let newest = match self.newest() {
                Some(place) => format!("the newest good one is {}", place.display()),
                None => "there is no good one yet".to_string(),
            };
            return Err(Error::NotSaved { source: Box::new(error), newest });
        }
        tracing::warn!(
            "{:#}; training goes on, and it is tried again in {} s (attempt {} of {ATTEMPTS})",
            anyhow::Error::from(error),
            self.interval.as_secs(),
            self.failures,
        );
        Ok(())
    }
}

/// What rank 0 has in `own`, for every rank.
fn of_rank_0(own: Option<Checkpoint>, world: &World) -> Result<Option<Checkpoint>, Error> {
    let files = own.as_ref().map(Checkpoint::to_files).transpose()?.unwrap_or_default();
    let names =
        world.broadcast_bytes(files.keys().cloned().collect::<Vec<_>>().join("\n").into())?;
    let names = String::from_utf8_lossy(&names).into_owned();
    let mut shared = Files::new();
    for name in names.lines() {
        let bytes = files.get(name).cloned().unwrap_or_default();
        shared.insert(name.to_string(), world.broadcast_bytes(bytes)?);
    }
    match own.is_some() || shared.is_empty() {
        true => Ok(own),
        false => Checkpoint::from_files(&shared).map(Some).map_err(Error::Internal),
    }
}
