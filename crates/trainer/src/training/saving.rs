//! Saves a run from time to time, and tolerates a disk that refuses for a while.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::ranks::World;
use crate::recipe::CheckpointRecipe;
use crate::run;
use crate::run::checkpoint::{Checkpoint, Checkpoints, Files, Found, Skipped};
use crate::training::Error;

/// Attempts that may fail one after the other while training continues: a disk that is full now may not be later.
const ATTEMPTS: u32 = 3;

/// Whether a run can continue without this checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// There will be another one.
    Routine,
    /// The program ends with it.
    Last,
}

/// Saves a run from time to time.
pub(super) struct Saver {
    /// Rank 0's checkpoints; the other ranks save nothing.
    checkpoints: Option<Checkpoints>,
    interval: Duration,
    /// Between checkpoints at ends of epochs; `None` for one at every end.
    epoch_interval: Option<Duration>,
    last: Instant,
    /// The newest good checkpoint that this process has seen, and the number of steps before it.
    newest: Option<(PathBuf, u64)>,
    failures: u32,
}

impl Saver {
    /// Saves to `checkpoints` as often as `recipe` says; `None` on other ranks than 0.
    pub(super) fn new(checkpoints: Option<Checkpoints>, recipe: CheckpointRecipe) -> Self {
        let interval = Duration::from_secs_f64(recipe.every_minutes * 60.0);
        let epoch_interval = recipe.epoch_seconds.map(Duration::from_secs_f64);
        let last = Instant::now();
        Self { checkpoints, interval, epoch_interval, last, newest: None, failures: 0 }
    }

    /// Whether it is time to save again, in an epoch or at its end.
    pub(super) fn due(&self, at_end_of_epoch: bool) -> bool {
        let interval = match self.epoch_interval {
            Some(epoch_interval) if at_end_of_epoch => self.interval.min(epoch_interval),
            _ => self.interval,
        };
        self.checkpoints.is_some() && self.last.elapsed() >= interval
    }

    /// Whether every end of an epoch is saved.
    pub(super) fn saves_every_epoch(&self) -> bool {
        self.epoch_interval.is_none()
    }

    /// Whether the run is saved as it was after `step` steps.
    pub(super) fn has(&self, step: u64) -> bool {
        self.newest.as_ref().is_some_and(|(_, saved)| *saved == step)
    }

    /// The newest good checkpoint that this process has seen.
    pub(super) fn newest(&self) -> Option<&Path> {
        self.newest.as_ref().map(|(place, _)| place.as_path())
    }

    /// Returns the newest good checkpoint of rank 0 on all ranks, and warns of newer ones that are skipped.
    pub(super) fn read(&mut self, world: &World) -> Result<Option<Checkpoint>, Error> {
        let own = self.read_own()?;
        world.broadcast_value(own, of_rank_0)
    }

    fn read_own(&mut self) -> Result<Option<Checkpoint>, Error> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(None) };
        let Found { newest, skipped } = checkpoints.newest()?;
        for Skipped { folder, reason } in &skipped {
            tracing::warn!("skipped {}: {reason}", folder.display());
        }
        if newest.is_none() && !skipped.is_empty() {
            let folders = skipped.into_iter().map(|skipped| skipped.folder).collect();
            return Err(Error::NoCheckpoint { folders });
        }
        Ok(newest.map(|(place, checkpoint)| {
            self.newest = Some((place, checkpoint.state.step));
            checkpoint
        }))
    }

    /// Saves `checkpoint`. Where that fails the run warns and continues, unless it failed some times in a row or the run ends
    /// with this checkpoint.
    pub(super) fn save(&mut self, checkpoint: &Checkpoint, need: Need) -> Result<(), Error> {
        self.last = Instant::now();
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        match checkpoints.save(checkpoint) {
            Ok(place) => {
                self.failures = 0;
                self.newest = Some((place, checkpoint.state.step));
                Ok(())
            }
            Err(error) => self.tolerate(error.into(), need),
        }
    }

    /// Tolerates weights that could not be written beside the checkpoints, as [`Saver::save`] does.
    pub(super) fn tolerate_weights(
        &mut self,
        written: Result<(), xception::weights::Error>,
    ) -> Result<(), Error> {
        match written {
            Err(error @ xception::weights::Error::File { .. }) => {
                self.tolerate(error.into(), Need::Routine)
            }
            other => Ok(other?),
        }
    }

    fn tolerate(&mut self, error: run::Error, need: Need) -> Result<(), Error> {
        self.failures += 1;
        if need == Need::Last || self.failures >= ATTEMPTS {
            let newest = self.newest().map(Path::to_path_buf);
            return Err(Error::NotSaved { source: Box::new(error), newest });
        }
        tracing::warn!(
            "{:#}; training continues, and the next attempt is in {} s (attempt {} of {ATTEMPTS})",
            anyhow::Error::from(error),
            self.interval.as_secs(),
            self.failures,
        );
        Ok(())
    }
}

/// Returns rank 0's checkpoint on every rank.
fn of_rank_0(world: &World, own: Option<Checkpoint>) -> Result<Option<Checkpoint>, Error> {
    let files = own.as_ref().map(Checkpoint::to_files).transpose()?.unwrap_or_default();
    let names =
        world.broadcast_bytes(files.keys().cloned().collect::<Vec<_>>().join("\n").into())?;
    let names = String::from_utf8_lossy(&names).into_owned();
    let mut shared = Files::new();
    for name in names.lines() {
        let bytes = files.get(name).cloned().unwrap_or_default();
        shared.insert(name.to_string(), world.broadcast_bytes(bytes)?);
    }
    if own.is_some() || shared.is_empty() {
        return Ok(own);
    }
    let read = Checkpoint::from_files(&shared);
    read.map(Some).map_err(|reason| Error::CheckpointOfRank0 { reason })
}
