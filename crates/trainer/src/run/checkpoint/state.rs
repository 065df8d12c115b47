//! Where a run is, but for its tensors: small enough to read, and enough to go on from.

use serde::{Deserialize, Serialize};
use toml::Value;

use crate::recipe::Recipe;
use crate::run::watching::EventsMark;

/// What a run's numbers follow from. Two runs that agree in all of it have the same weights at every step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    /// How it trains.
    pub(crate) recipe: Recipe,
    /// What it trains on.
    pub(crate) data: Fingerprint,
    /// How many train it together.
    #[serde(default = "alone")]
    pub(crate) ranks: usize,
    /// What rounds its sums.
    pub(crate) arithmetic: Arithmetic,
}

fn alone() -> usize {
    1
}

/// A data set, as far as a run can tell one from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fingerprint {
    /// `cifar10`, `cifar100` or `synthetic`.
    pub(crate) name: String,
    /// Images to train on.
    pub(crate) training: u64,
    /// Images to measure on.
    pub(crate) test: u64,
    /// Of all pixels and labels.
    pub(crate) sha256: String,
}

/// The order and the kind of additions. Another one goes on well, but not bit for bit as before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arithmetic {
    /// Intra-op threads.
    pub(crate) threads: i32,
    /// What `precision` came to.
    pub(crate) precision: String,
    /// `Cpu` or a GPU.
    pub(crate) device: String,
    /// Of the CPU, as our kernels use it.
    pub(crate) instruction_set: String,
    /// Its version.
    pub(crate) libtorch: String,
}

/// Sums over the images of a stretch of training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sums {
    /// Images.
    pub(crate) images: u64,
    /// Of their losses.
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
    /// Its accuracy on the test set.
    pub(crate) top1: f64,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// What the run follows from.
    pub(crate) origin: Origin,
    /// Batches behind it.
    pub(crate) step: u64,
    /// The best of the epochs that were measured.
    pub(crate) best: Option<Best>,
    /// Since the epoch began.
    pub(crate) epoch: Sums,
    /// Since the last line of `metrics.jsonl`.
    pub(crate) unlogged: Sums,
    /// Steps whose batches are skipped, because their loss was not finite.
    #[serde(rename = "passed_over")]
    pub(crate) skipped: Vec<u64>,
    /// Times that the run went back to a checkpoint.
    pub(crate) roll_backs: u64,
    /// What the recipe's learning rate is multiplied by, for the ranks that the run began with.
    #[serde(default = "one")]
    pub(crate) learning_rate_factor: f64,
}

fn one() -> f64 {
    1.0
}

/// How far the logs are. It differs between runs that are otherwise the same, so it is kept apart from [`State`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Logs {
    /// Bytes of `metrics.jsonl`.
    pub(crate) metrics: u64,
    /// The event file of TensorBoard.
    pub(crate) events: Option<EventsMark>,
    /// Wall clock spent, all parts of the run together.
    pub(crate) seconds: f64,
}

/// One difference a line, `what: it was this, now it is that`.
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
