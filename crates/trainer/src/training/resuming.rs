//! From a run to a checkpoint and back, such that nothing of what follows tells whether it was interrupted.

use std::time::Instant;

use xception::weights::{self, Tensors};

use super::running::Running;
use super::saving::Need;
use super::{Training, origin};
use crate::Error;
use crate::optim::average::Average;
use crate::recipe::Recipe;
use crate::run::checkpoint::{Checkpoint, Logs, State};
use crate::signal::Signal;

impl Training<'_> {
    /// Goes on from the newest good checkpoint of the run's folder, if there is one; says whether there was. `begun` is the
    /// recipe that it was begun with.
    pub(crate) fn resume(&mut self, begun: &Recipe) -> Result<bool, Error> {
        let Some(checkpoint) = self.saver.read(&self.world)? else {
            if self.world.leads() {
                let now = (self.recipe, self.world.size());
                origin::check_unsaved((begun, self.folder.ranks()), now)?;
            }
            self.restart_logs(Logs::default())?;
            return Ok(false);
        };
        origin::check(&checkpoint.state.origin, &self.state.origin)?;
        self.restore(checkpoint)?;
        Ok(true)
    }

    /// Steps behind the run.
    pub(crate) fn steps_done(&self) -> u64 {
        self.state.step
    }

    /// Saves the run as it is between two steps. Asked to stop, it ends here.
    pub(super) fn save(&mut self) -> Result<(), Error> {
        self.look()?;
        let stopped = self.asked();
        if self.world.leads() {
            let need = if stopped.is_some() { Need::Last } else { Need::Routine };
            let checkpoint = self.checkpoint()?;
            self.world.saving(|| self.saver.save(&checkpoint, need))?;
        }
        match stopped {
            Some(signal) => Err(self.interrupted(signal)),
            None => Ok(()),
        }
    }

    /// What a run ends with that was saved and asked to stop.
    pub(super) fn interrupted(&self, signal: Signal) -> Error {
        let (step, folder) = (self.state.step, self.folder.path().to_path_buf());
        Error::Interrupted { signal, step, folder }
    }

    fn checkpoint(&mut self) -> Result<Checkpoint, Error> {
        let (metrics, events) = self.watch.mark();
        Ok(Checkpoint {
            state: self.state.clone(),
            logs: Logs { metrics, events, seconds: self.seconds() },
            model: weights::snapshot(&self.store),
            optimizer: self.stepper.optimizer().state(),
            average: self.average.as_ref().map_or_else(Tensors::new, Average::tensors),
        })
    }

    /// Puts everything back to where it was at `checkpoint`.
    pub(super) fn restore(&mut self, checkpoint: Checkpoint) -> Result<(), Error> {
        weights::load(&self.store, &checkpoint.model)?;
        self.stepper.optimizer_mut().restore(&checkpoint.optimizer)?;
        if let Some(average) = &mut self.average {
            average.restore(&checkpoint.average)?;
        }
        // The origin is this process's: a checkpoint from here on was rounded as here.
        let origin = self.state.origin.clone();
        self.state = State { origin, ..checkpoint.state };
        let device = self.store.device();
        self.epoch = Running::from(self.state.epoch, device);
        self.unlogged = Running::from(self.state.unlogged, device);
        self.restart_logs(checkpoint.logs)
    }

    fn restart_logs(&mut self, logs: Logs) -> Result<(), Error> {
        self.spent = logs.seconds;
        self.since = Instant::now();
        self.watch.cut_back(logs.metrics, logs.events.as_ref())
    }
}
