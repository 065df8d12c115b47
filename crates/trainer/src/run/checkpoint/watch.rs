//! A figure that is watched from epoch to epoch for improvement. Watching an epoch twice, as a resumed run does, changes
//! nothing.

use serde::{Deserialize, Serialize};

/// The best value so far, of a figure of which more is better, and the epoch from which patience counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watch {
    /// The best value.
    pub(crate) best: f64,
    /// The epoch of that value, counted from 1, or a later one from which patience was counted anew.
    pub(crate) since: u64,
    /// Times that patience was counted anew because it had ended.
    #[serde(default)]
    pub(crate) ended: u64,
}

impl Watch {
    /// The watch after `epoch` had `value`. An improvement is larger than `margin`.
    pub(crate) fn after(watch: Option<Self>, epoch: u64, value: f64, margin: f64) -> Self {
        match watch {
            Some(watch) if value > watch.best + margin => {
                Self { best: value, since: epoch, ..watch }
            }
            Some(watch) => watch,
            None => Self { best: value, since: epoch, ended: 0 },
        }
    }

    /// Whether the last `patience` epochs up to `epoch` brought no improvement.
    pub(crate) fn is_out_of_patience(&self, epoch: u64, patience: u64) -> bool {
        epoch.saturating_sub(self.since) >= patience
    }

    /// Counts patience anew from `epoch` on.
    pub(crate) fn again(self, epoch: u64) -> Self {
        Self { since: epoch, ended: self.ended + 1, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_after_epochs_without_improvement() {
        let values = [0.5, 0.6, 0.604, f64::MIN, 0.6];
        let mut watch = None;
        for (epoch, value) in (1..).zip(values) {
            let now = Watch::after(watch, epoch, value, 0.01);
            assert_eq!(now, Watch::after(Some(now), epoch, value, 0.01), "watched twice");
            assert_eq!(now.is_out_of_patience(epoch, 3), epoch == 5, "{epoch}");
            watch = Some(now);
        }
        let again = watch.unwrap().again(5);
        assert_eq!((again.best, again.since, again.ended), (0.6, 5, 1));
        assert!(!again.is_out_of_patience(7, 3) && again.is_out_of_patience(8, 3));
    }

    #[test]
    fn a_first_figure_that_is_not_finite_is_improved_by_any_other() {
        let first = Watch::after(None, 1, f64::MIN, 0.0);
        assert_eq!(Watch::after(Some(first), 2, -7.0, 0.0).since, 2);
    }
}
