//! The state of a run but for its tensors: readable, and sufficient to resume from.

use serde::{Deserialize, Serialize};
use toml::Value;

use crate::recipe::Recipe;
use crate::run::checkpoint::Watch;
use crate::run::logs::EventsMark;

/// The origin of a run: everything that determines its numbers. Two runs of one origin have the same weights at every
/// step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    /// The recipe.
    pub(crate) recipe: Recipe,
    /// The data set.
    pub(crate) data: Fingerprint,
    /// The number of ranks.
    #[serde(default = "alone")]
    pub(crate) ranks: usize,
    /// The settings that affect rounding.
    pub(crate) arithmetic: Arithmetic,
}

fn alone() -> usize {
    1
}

/// A fingerprint of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fingerprint {
    /// `cifar10`, `cifar100` or `synthetic`.
    pub(crate) name: String,
    /// Training images.
    pub(crate) training: u64,
    /// Validation images, where there are test images, too.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(crate) validation: u64,
    /// Test images.
    pub(crate) test: u64,
    /// The sha256 of all pixels and labels.
    pub(crate) sha256: String,
}

fn is_none(images: &u64) -> bool {
    *images == 0
}

/// Everything that affects rounding. A run resumes with other settings, but not bit for bit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arithmetic {
    /// Intra-op threads.
    pub(crate) threads: i32,
    /// The precision that `auto` stood for.
    pub(crate) precision: String,
    /// `Cpu` or a GPU.
    pub(crate) device: String,
    /// The instruction set that our kernels use.
    pub(crate) instruction_set: String,
    /// The version of libtorch.
    pub(crate) libtorch: String,
}

/// Sums over the images of some steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sums {
    /// The number of images.
    pub(crate) images: u64,
    /// The sum of their losses.
    pub(crate) loss: f64,
    /// Images that were classified correctly.
    #[serde(rename = "right")]
    pub(crate) correct: i64,
}

/// The best epoch so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Best {
    /// Counted from 1.
    pub(crate) epoch: u64,
    /// Its accuracy on the validation set, or on the test set where that is the only one.
    pub(crate) top1: f64,
    /// The value of the figure that epochs are compared by, of which more is better; absent where it is `top1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<f64>,
}

impl Best {
    /// The figure that epochs are compared by.
    pub(crate) fn value(&self) -> f64 {
        self.value.unwrap_or(self.top1)
    }
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// The origin of the run.
    pub(crate) origin: Origin,
    /// Steps taken.
    pub(crate) step: u64,
    /// The best of the epochs that were measured.
    pub(crate) best: Option<Best>,
    /// Sums since the epoch began.
    pub(crate) epoch: Sums,
    /// Sums since the last line of `metrics.jsonl`.
    pub(crate) unlogged: Sums,
    /// Steps whose batches are skipped, because their loss was not finite.
    #[serde(rename = "passed_over")]
    pub(crate) skipped: Vec<u64>,
    /// The number of roll-backs to a checkpoint.
    pub(crate) roll_backs: u64,
    /// The factor of the recipe's learning rate, for the number of ranks that the run began on.
    #[serde(default = "one")]
    pub(crate) learning_rate_factor: f64,
    /// The figure by which the run may end early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stopping: Option<Watch>,
    /// The figure by which the learning rate goes down. Each time that patience ended, it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plateau: Option<Watch>,
}

fn one() -> f64 {
    1.0
}

/// The ends of the logs. They differ between runs that are otherwise the same, so they are apart from [`State`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Logs {
    /// Bytes of `metrics.jsonl`.
    pub(crate) metrics: u64,
    /// The end of the event file of TensorBoard.
    pub(crate) events: Option<EventsMark>,
    /// Wall clock spent, all parts of the run together.
    pub(crate) seconds: f64,
}

/// The differences between two values, each as `key: it was this, now it is that`.
pub(crate) fn differences<T: Serialize>(was: &T, now: &T) -> Vec<String> {
    let table = |value| Value::try_from(value).expect("a table of plain values");
    let mut found = Vec::new();
    compare("", Some(&table(was)), Some(&table(now)), &mut found);
    found
}

fn compare(name: &str, was: Option<&Value>, now: Option<&Value>, found: &mut Vec<String>) {
    if let (Some(Value::Table(was)), Some(Value::Table(now))) = (was, now) {
        let mut keys: Vec<&String> = was.keys().chain(now.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            compare(&name, was.get(key), now.get(key), found);
        }
    } else if was != now {
        let said = |value: Option<&Value>| value.map_or("absent".to_string(), Value::to_string);
        found.push(format!("{name}: it was {}, now it is {}", said(was), said(now)));
    }
}
