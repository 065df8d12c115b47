//! The wall clock of a run, and the images a second.

use std::time::Instant;

/// The wall clock of a run, all its parts together, and its speed.
pub(super) struct Timing {
    /// Seconds of earlier parts of the run.
    earlier: f64,
    since: Instant,
    /// Since the epoch was begun or resumed.
    pub(super) epoch: Speed,
    /// Since the last line of the log.
    pub(super) unlogged: Speed,
}

impl Timing {
    /// Starts the clock of a run that has taken `earlier` seconds.
    pub(super) fn start(earlier: f64) -> Self {
        let since = Instant::now();
        Self { earlier, since, epoch: Speed::start(), unlogged: Speed::start() }
    }

    /// Seconds so far.
    pub(super) fn seconds(&self) -> f64 {
        self.earlier + self.since.elapsed().as_secs_f64()
    }

    /// Measures the speed from now on.
    pub(super) fn start_epoch(&mut self) {
        (self.epoch, self.unlogged) = (Speed::start(), Speed::start());
    }

    /// Counts `images` more.
    pub(super) fn add(&mut self, images: usize) {
        self.epoch.images += images as u64;
        self.unlogged.images += images as u64;
    }
}

/// Images a second since it was started.
pub(super) struct Speed {
    since: Instant,
    images: u64,
}

impl Speed {
    /// Starts counting.
    pub(super) fn start() -> Self {
        Self { since: Instant::now(), images: 0 }
    }

    /// Images a second; 0 before the first.
    pub(super) fn images_per_second(&self) -> f64 {
        self.images as f64 / self.since.elapsed().as_secs_f64().max(1e-9)
    }
}
