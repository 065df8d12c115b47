//! Everything that a file of weights holds: one dictionary of tensors, or several to choose from.

use std::collections::BTreeMap;

use tch::Tensor;
use weight_files::KerasLayer;

use crate::preprocessing::Preprocessing;
use crate::preset::Preset;

/// Tensors by name, in the order of their names.
pub type Tensors = BTreeMap<String, Tensor>;

/// The tensors of one dictionary, with the place of the dictionary in the file.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Dictionary {
    /// The keys that lead to it, such as `state_dict`; empty for the file itself.
    pub place: String,
    /// Its tensors.
    pub tensors: Tensors,
    /// Names in it whose values are not tensors that can be read, with the reason.
    pub unread: BTreeMap<String, String>,
}

/// The content of a file of weights.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Contents {
    /// Every dictionary of tensors, in the order of the file.
    pub dictionaries: Vec<Dictionary>,
    /// The metadata; of safetensors only.
    pub metadata: BTreeMap<String, String>,
    /// The network, where a file of Keras describes it.
    pub network: Option<KerasLayer>,
    /// The description beside it, in a folder of the Hugging Face hub.
    pub config: Option<HubConfig>,
}

impl Contents {
    /// The content of a file with one dictionary.
    #[must_use]
    pub fn new(tensors: Tensors, metadata: BTreeMap<String, String>) -> Self {
        let dictionaries = vec![Dictionary { tensors, ..Dictionary::default() }];
        Self { dictionaries, metadata, network: None, config: None }
    }

    /// The tensors of the dictionary that has most of them; the first of several.
    #[must_use]
    pub fn into_largest(self) -> Tensors {
        let larger =
            |one: Tensors, other: Tensors| if other.len() > one.len() { other } else { one };
        self.dictionaries
            .into_iter()
            .map(|dictionary| dictionary.tensors)
            .reduce(larger)
            .unwrap_or_default()
    }
}

/// The description of a network in `config.json`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HubConfig {
    /// The network and the preprocessing that it was trained with; `None` in a description of another program than timm.
    pub network: Option<(Preset, Preprocessing)>,
    /// The name of each class, where they are given.
    pub class_names: Option<Vec<String>>,
}
