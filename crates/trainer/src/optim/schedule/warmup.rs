//! Warm-up: a factor to the learning rate that grows to one at the start of a run, with any schedule.

use serde::{Deserialize, Serialize};

use super::{Position, Span};
use crate::invalid_value::InvalidValue;

/// Learning rates below the schedule's at the start of a run, growing along a line.
///
/// Goyal et al. 2017, section 2.2. PyTorch: `LinearLR(start_factor=start, end_factor=1, total_iters=length)`, chained
/// with the schedule (`ChainedScheduler`), which therefore does not wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// The stretch after which the schedule's learning rate is reached.
    pub length: Span,
    /// The first learning rate, as a fraction of the schedule's.
    pub start: f64,
}

impl Warmup {
    /// The factor of the schedule's learning rate.
    pub(crate) fn factor(&self, position: &Position) -> f64 {
        let fraction = self.length.times(position).min(1.0);
        self.start + (1.0 - self.start) * fraction
    }

    /// Refuses numbers that are out of range.
    pub(crate) fn check(&self) -> Result<(), InvalidValue> {
        let fits = (0.0..=1.0).contains(&self.start);
        InvalidValue::unless(fits, "warmup.start", "between 0 and 1", self.start)?;
        self.length.check("warmup.length")
    }
}
