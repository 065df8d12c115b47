//! The learning rate as a function of the position in the run.

mod position;
mod warmup;

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

pub(crate) use self::position::{Position, Span};
pub(crate) use self::warmup::Warmup;

/// A schedule and its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
        /// The fraction of the run until then, 0 to 1.
        warmup: f64,
        /// The first learning rate, as a fraction of the peak.
        start: f64,
        /// The last learning rate, as a fraction of the peak.
        end: f64,
    },
    /// Down at given epochs, each time by the same factor. PyTorch: `MultiStepLR(gamma=factor)`.
    Step {
        /// The first learning rate.
        learning_rate: f64,
        /// Epochs after which the learning rate goes down, in ascending order.
        milestones: Vec<f64>,
        /// The factor, each time.
        factor: f64,
    },
    /// Down by the same factor every so often.
    ///
    /// The paper, section 4.3: `factor = 0.94, every = { epochs = 2 }` on ImageNet, and `factor = 0.9,
    /// every = { samples = 3_000_000 }` on JFT. PyTorch: `StepLR` in a staircase, `ExponentialLR` smoothly.
    /// TensorFlow: `tf.train.exponential_decay(staircase=…)`.
    Exponential {
        /// The first learning rate.
        learning_rate: f64,
        /// The factor after each stretch.
        factor: f64,
        /// The stretch.
        every: Span,
        /// The way down.
        form: Form,
    },
    /// Down by the same factor whenever the measured figure has stopped getting better (`[selection]`). PyTorch:
    /// `ReduceLROnPlateau(patience=patience - 1, threshold_mode="abs")`.
    Plateau {
        /// The first learning rate.
        learning_rate: f64,
        /// The factor, each time.
        factor: f64,
        /// Epochs without an improvement after which the learning rate goes down.
        patience: u64,
        /// The least difference to the best figure so far that is an improvement. PyTorch: `threshold`.
        min_improvement: f64,
        /// The lowest learning rate, as a fraction of the first.
        end: f64,
    },
    /// Down along half a cosine. PyTorch: `CosineAnnealingLR(T_max=steps - 1, eta_min=learning_rate * end)`.
    Cosine {
        /// The first learning rate.
        learning_rate: f64,
        /// The last learning rate, as a fraction of the first.
        end: f64,
    },
    /// Down along a line. PyTorch: `LinearLR(start_factor=1, end_factor=end, total_iters=steps - 1)`.
    Linear {
        /// The first learning rate.
        learning_rate: f64,
        /// The last learning rate, as a fraction of the first.
        end: f64,
    },
}

/// The form of an exponential decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// At the end of each stretch.
    Staircase,
    /// A little with every step.
    Smooth,
}

impl Schedule {
    /// The learning rate of the step at `position`.
    pub(crate) fn learning_rate(&self, position: &Position) -> f64 {
        match *self {
            Schedule::Constant { learning_rate } | Schedule::Plateau { learning_rate, .. } => {
                learning_rate
            }
            Schedule::OneCycle { peak, warmup, start, end } => {
                let (at, steps) = (position.step as f64, position.steps as f64);
                let last = (steps - 1.0).max(0.0);
                let top = (warmup * steps - 1.0).clamp(0.0, last);
                if at < top {
                    cosine(peak * start, peak, at / top)
                } else {
                    cosine(peak, peak * end, (at - top) / (last - top).max(1.0))
                }
            }
            Schedule::Step { learning_rate, ref milestones, factor } => {
                let passed = |milestone: &&f64| Span::Epochs(**milestone).times(position) >= 1.0;
                learning_rate * factor.powi(milestones.iter().filter(passed).count() as i32)
            }
            Schedule::Exponential { learning_rate, factor, every, form } => {
                let times = every.times(position);
                learning_rate
                    * factor.powf(match form {
                        // A quotient that misses a whole number by rounding has reached it.
                        Form::Staircase => (times * (1.0 + 1e-12)).floor(),
                        Form::Smooth => times,
                    })
            }
            Schedule::Cosine { learning_rate, end } => {
                cosine(learning_rate, learning_rate * end, position.fraction())
            }
            Schedule::Linear { learning_rate, end } => {
                learning_rate * (1.0 + (end - 1.0) * position.fraction().min(1.0))
            }
        }
    }

    /// `rate`, after the figures had stopped getting better `times` times.
    pub(crate) fn after_plateaus(&self, rate: f64, times: u64) -> f64 {
        match *self {
            Schedule::Plateau { factor, end, .. } => {
                rate * factor.powi(times.min(1000) as i32).max(end)
            }
            _ => rate,
        }
    }

    /// Refuses numbers that are out of range.
    pub(crate) fn check(&self) -> Result<(), InvalidValue> {
        let (rate, parts) = match *self {
            Schedule::Constant { learning_rate } => (learning_rate, vec![]),
            Schedule::OneCycle { peak, warmup, start, end } => {
                (peak, vec![("warmup", warmup), ("start", start), ("end", end)])
            }
            Schedule::Step { learning_rate, factor, .. }
            | Schedule::Exponential { learning_rate, factor, .. } => {
                (learning_rate, vec![("factor", factor)])
            }
            Schedule::Cosine { learning_rate, end } | Schedule::Linear { learning_rate, end } => {
                (learning_rate, vec![("end", end)])
            }
            Schedule::Plateau { learning_rate, factor, end, .. } => {
                (learning_rate, vec![("factor", factor), ("end", end)])
            }
        };
        if !(rate.is_finite() && rate > 0.0) {
            let name = match self {
                Schedule::OneCycle { .. } => "peak",
                _ => "learning_rate",
            };
            return Err(InvalidValue::new(format!("schedule.{name}"), "above 0", rate));
        }
        if let Some((name, part)) = parts.into_iter().find(|(_, part)| !(0.0..=1.0).contains(part))
        {
            return Err(InvalidValue::new(format!("schedule.{name}"), "between 0 and 1", part));
        }
        match self {
            Schedule::Step { milestones, .. } => {
                let above = std::iter::once(&0.0).chain(milestones).zip(milestones);
                let ascend = above.into_iter().all(|(below, above)| below < above);
                InvalidValue::unless(
                    ascend && !milestones.is_empty(),
                    "schedule.milestones",
                    "epochs above 0 in ascending order",
                    format!("{milestones:?}"),
                )
            }
            Schedule::Exponential { every, .. } => every.check("schedule.every"),
            Schedule::Plateau { patience, min_improvement, .. } => {
                let key = "schedule.patience";
                InvalidValue::unless(*patience > 0, key, "at least 1", *patience)?;
                let (key, fits) = ("schedule.min_improvement", *min_improvement >= 0.0);
                InvalidValue::unless(fits, key, "at least 0", *min_improvement)
            }
            _ => Ok(()),
        }
    }
}

/// The value at `fraction` of the way from `from` to `to`, along half a cosine.
fn cosine(from: f64, to: f64, fraction: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * fraction.min(1.0)).cos()) / 2.0
}

#[cfg(test)]
mod tests;
