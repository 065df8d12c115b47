//! The learning rate as a function of how far a run is.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// A schedule and its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// The same throughout.
    Constant {
        /// The learning rate.
        learning_rate: f64,
    },
    /// Up to a peak and down again, both along half a cosine.
    ///
    /// PyTorch: `OneCycleLR(max_lr=peak, pct_start=warmup, div_factor=1/start, final_div_factor=start/end)`.
    OneCycle {
        /// The highest learning rate.
        peak: f64,
        /// The part of the run until then, 0 to 1.
        warmup: f64,
        /// The first learning rate, as a part of the peak.
        start: f64,
        /// The last learning rate, as a part of the peak.
        end: f64,
    },
}

impl Schedule {
    /// The learning rate of step `step` (from 0) among `steps`.
    pub(crate) fn learning_rate(&self, step: u64, steps: u64) -> f64 {
        match *self {
            Schedule::Constant { learning_rate } => learning_rate,
            Schedule::OneCycle { peak, warmup, start, end } => {
                let (at, last) = (step as f64, steps.saturating_sub(1) as f64);
                let top = (warmup * steps as f64 - 1.0).clamp(0.0, last);
                if at < top {
                    cosine(peak * start, peak, at / top)
                } else {
                    cosine(peak, peak * end, (at - top) / (last - top).max(1.0))
                }
            }
        }
    }

    /// What is wrong with the numbers, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let (rate, parts) = match *self {
            Schedule::Constant { learning_rate } => {
                (("schedule.learning_rate", learning_rate), vec![])
            }
            Schedule::OneCycle { peak, warmup, start, end } => (
                ("schedule.peak", peak),
                vec![("schedule.warmup", warmup), ("schedule.start", start), ("schedule.end", end)],
            ),
        };
        if !(rate.1.is_finite() && rate.1 > 0.0) {
            return Some(format!("{} must be above 0, got {}", rate.0, rate.1));
        }
        let outside = parts.into_iter().find(|(_, part)| !(0.0..=1.0).contains(part));
        outside.map(|(name, part)| format!("{name} must be between 0 and 1, got {part}"))
    }
}

/// From `from` to `to` along half a cosine, `part` of the way.
fn cosine(from: f64, to: f64, part: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * part.min(1.0)).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `OneCycleLR(SGD, max_lr=0.1, total_steps=11, pct_start=0.2, div_factor=25, final_div_factor=1e4)` of PyTorch
    /// 2.13, `get_last_lr()` ahead of each step.
    #[test]
    fn one_cycle_is_pytorchs() {
        let schedule = Schedule::OneCycle { peak: 0.1, warmup: 0.2, start: 0.04, end: 4e-6 };
        let rates: Vec<f64> = (0..11).map(|step| schedule.learning_rate(step, 11)).collect();
        for (ours, theirs) in rates.iter().zip(ONE_CYCLE) {
            assert!((ours - theirs).abs() < 1e-12, "{rates:?}");
        }
    }

    const ONE_CYCLE: [f64; 11] = [
        0.0040000000000000036,
        0.09356921938165305,
        0.09797465678213016,
        0.09002710193796984,
        0.0770321327446164,
        0.06062842196459093,
        0.0428844865493034,
        0.026037846513794524,
        0.012212872432201975,
        0.0031529011399569207,
        4e-07,
    ];

    #[test]
    fn a_run_of_one_step_has_a_rate() {
        let schedule = Schedule::OneCycle { peak: 0.1, warmup: 0.3, start: 0.04, end: 0.0 };
        assert!(schedule.learning_rate(0, 1).is_finite());
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let problem =
            |peak, warmup| Schedule::OneCycle { peak, warmup, start: 0.1, end: 0.0 }.problem();
        assert_eq!(problem(0.1, 0.3), None);
        assert_eq!(problem(-1.0, 0.3).unwrap(), "schedule.peak must be above 0, got -1");
        assert_eq!(problem(f64::NAN, 0.3).unwrap(), "schedule.peak must be above 0, got NaN");
        assert_eq!(problem(0.1, 30.0).unwrap(), "schedule.warmup must be between 0 and 1, got 30");
    }
}
