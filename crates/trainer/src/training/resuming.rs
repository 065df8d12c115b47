//! From a run to a checkpoint and back: an interrupted run ends as one that was not, to the last bit.

use super::run_plan::Start;
use super::saving::Need;
use super::timing::Timing;
use super::{Training, origin};
use crate::network::transfer::Pretrained;
use crate::recipe::Recipe;
use crate::run::checkpoint::{Checkpoint, Logs};
use crate::run::run_folder::RunFolder;
use crate::signal::Signal;
use crate::training::Error;

impl Training<'_> {
    /// Puts a run that was just built where it starts.
    pub(super) fn start(&mut self, start: &Start) -> Result<(), Error> {
        match start {
            Start::New { weights: Some(weights) } => self.start_from(weights),
            Start::New { weights: None } => Ok(()),
            Start::Resumed { begun } => {
                let resumed = self.resume(begun)?;
                if !resumed && let Some(weights) = Pretrained::of(self.recipe)? {
                    self.start_from(&weights)?;
                }
                self.note_resumption(begun)
            }
        }
    }

    /// Starts from weights that were trained before.
    fn start_from(&mut self, weights: &Pretrained) -> Result<(), Error> {
        let Some(transfer) = &self.recipe.transfer else { return Ok(()) };
        self.model.start_from(weights, transfer.head, self.recipe.average)
    }

    /// Writes into the folder how the run is made from here on.
    fn note_resumption(&self, begun: &Recipe) -> Result<(), Error> {
        let Self { recipe, folder, world, .. } = self;
        if world.leads() {
            folder.extend_environment(recipe.seed, world.ranks(), self.course.state.step)?;
            // On another number of ranks, the share of each is another one; a run that is extended has more epochs.
            if begun.batch_size != recipe.batch_size || begun.epochs != recipe.epochs {
                folder.write_config(recipe)?;
            }
        }
        Ok(())
    }

    /// Resumes from the newest good checkpoint of the run's folder, if there is one. Returns whether there was. `begun` is
    /// the recipe that the run was begun with.
    fn resume(&mut self, begun: &Recipe) -> Result<bool, Error> {
        let Some(checkpoint) = self.saver.read(&self.world)? else {
            if self.world.leads() {
                let now = (self.recipe, self.world.ranks());
                origin::check_unsaved((begun, self.folder.ranks()), now)?;
            }
            self.restart_logs(Logs::default())?;
            return Ok(false);
        };
        origin::check(&checkpoint.state.origin, &self.course.state.origin)?;
        self.restore(checkpoint)?;
        Ok(true)
    }

    /// Saves the run as it is between two steps. If it was asked to stop, it ends here.
    pub(super) fn save(&mut self) -> Result<(), Error> {
        self.course.read_sums()?;
        let stopped = self.stop_signal();
        if self.world.leads() {
            let need = if stopped.is_some() { Need::Last } else { Need::Routine };
            let checkpoint = self.checkpoint();
            self.world.saving(|| self.saver.save(&checkpoint, need))?;
        }
        match stopped {
            Some(signal) => Err(interrupted(signal, self.course.state.step, self.folder)),
            None => Ok(()),
        }
    }

    /// A run that may roll back needs a checkpoint from the start.
    pub(super) fn save_to_roll_back_to(&mut self) -> Result<(), Error> {
        if self.policy.rolls_back() && self.saver.newest().is_none() {
            return self.save();
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Checkpoint {
        let (metrics, events) = self.logs.mark();
        let [model, optimizer, average] = self.model.snapshot();
        Checkpoint {
            state: self.course.state.clone(),
            logs: Logs { metrics, events, seconds: self.timing.seconds() },
            model,
            optimizer,
            average,
        }
    }

    /// Puts everything back to where it was at `checkpoint`.
    pub(super) fn restore(&mut self, checkpoint: Checkpoint) -> Result<(), Error> {
        self.model.restore(&checkpoint)?;
        self.course.restore(checkpoint.state, self.model.learner.device());
        self.restart_logs(checkpoint.logs)
    }

    fn restart_logs(&mut self, logs: Logs) -> Result<(), Error> {
        self.timing = Timing::start(logs.seconds);
        Ok(self.logs.cut_back(logs.metrics, logs.events.as_ref())?)
    }
}

/// The error that ends a run that was asked to stop and is saved in `folder`, after `step`.
pub(super) fn interrupted(signal: Signal, step: u64, folder: &RunFolder) -> Error {
    Error::Interrupted { signal, step, folder: folder.path().to_path_buf() }
}
