//! The contents of a golden file; `golden/README.md` says what they mean.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use xception::ModelOptions;

/// The constants of the fill formula.
#[derive(Debug, Deserialize)]
pub(crate) struct Fill {
    pub(crate) gain: f64,
    pub(crate) bias: f64,
    pub(crate) scale: f64,
    pub(crate) shift: f64,
    pub(crate) mean: f64,
    pub(crate) var: f64,
}

/// One tensor of the original's state dict.
#[derive(Debug, Deserialize)]
pub(crate) struct TensorEntry {
    pub(crate) name: String,
    pub(crate) shape: Vec<i64>,
    pub(crate) role: String,
    pub(crate) fan_in: Option<f64>,
    pub(crate) alias_of: Option<String>,
}

/// Numbers that stand for a large tensor.
#[derive(Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) norm: f64,
    pub(crate) projection: f64,
    pub(crate) samples: [f64; 3],
    #[serde(default)]
    pub(crate) zero: bool,
}

/// A level of the feature pyramid.
#[derive(Debug, Deserialize)]
pub(crate) struct Level {
    pub(crate) shape: Vec<i64>,
    #[serde(flatten)]
    pub(crate) summary: Summary,
}

/// One batch and what the original made of it. Some cases have no statistics and gradients.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) input_name: String,
    pub(crate) input: Vec<i64>,
    pub(crate) labels: Vec<i64>,
    pub(crate) eval_logits: Vec<Vec<f64>>,
    pub(crate) train_logits: Vec<Vec<f64>>,
    /// The feature pyramid in evaluation mode, of originals that have one.
    #[serde(default)]
    pub(crate) levels: Vec<Level>,
    pub(crate) loss: f64,
    pub(crate) running: BTreeMap<String, Summary>,
    pub(crate) gradients: BTreeMap<String, Summary>,
}

/// The original's size at the preset's own classes and input.
#[derive(Debug, Deserialize)]
pub(crate) struct Reference {
    pub(crate) classes: i64,
    pub(crate) input: i64,
    pub(crate) params_trainable: u64,
    pub(crate) params_total: u64,
    pub(crate) macs: u64,
}

/// One original.
#[derive(Debug, Deserialize)]
pub(crate) struct Golden {
    pub(crate) network: String,
    /// The preset, where the name of the file says more.
    #[serde(default)]
    pub(crate) preset: Option<String>,
    #[serde(default)]
    pub(crate) options: ModelOptions,
    pub(crate) classes: i64,
    pub(crate) logits_stored: i64,
    pub(crate) fill: Fill,
    pub(crate) reference: Reference,
    pub(crate) tensors: Vec<TensorEntry>,
    pub(crate) cases: Vec<Case>,
}

impl Golden {
    /// Reads `golden/<network>.json`.
    pub(crate) fn open(network: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{network}.json"));
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}
