//! What a weights file says about itself, so that nobody has to say it again on the command line.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::{Error, ModelSpec, Preset};

/// The metadata of a weights file of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The network.
    pub spec: ModelSpec,
    /// The name of each class, in the order of the logits.
    pub class_names: Vec<String>,
    /// Rows and columns of the pictures that it was trained on.
    pub input: i64,
    /// Subtracted from each colour, on the scale 0 to 1.
    pub mean: [f64; 3],
    /// Each colour is divided by it after that.
    pub std: [f64; 3],
    /// The data set that it was trained on, such as `cifar10` or `synthetic`.
    pub data: String,
}

impl Description {
    /// The description as safetensors metadata: one key a field, JSON where it is not a word or a number.
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        [
            ("preset", self.spec.preset.to_string()),
            ("classes", self.spec.classes.to_string()),
            ("scale", json!(self.spec.scale).to_string()),
            ("class_names", json!(self.class_names).to_string()),
            ("input", self.input.to_string()),
            ("mean", json!(self.mean).to_string()),
            ("std", json!(self.std).to_string()),
            ("data", self.data.clone()),
        ]
        .map(|(key, value)| (key.to_string(), value))
        .into()
    }

    /// Reads the metadata of the file at `path` back; `None` for a foreign file, which has no `preset`.
    pub fn from_metadata(
        path: &Path,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, Error> {
        let Some(preset) = metadata.get("preset") else { return Ok(None) };
        let reader = Reader { path, metadata };
        let preset: Preset = preset.parse()?;
        let spec = ModelSpec {
            preset,
            classes: reader.positive("classes")?,
            scale: reader.json("scale")?,
        };
        let class_names: Vec<String> = reader.json("class_names")?;
        if class_names.len() as i64 != spec.classes {
            return Err(reader.problem(
                "class_names",
                &format!("has {} names for {} classes", class_names.len(), spec.classes),
            ));
        }
        Ok(Some(Self {
            spec,
            class_names,
            input: reader.positive("input")?,
            mean: reader.json("mean")?,
            std: reader.json("std")?,
            data: reader.text("data")?.to_string(),
        }))
    }
}

/// Metadata with the file's name at hand for complaints.
struct Reader<'a> {
    path: &'a Path,
    metadata: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn problem(&self, key: &'static str, problem: &str) -> Error {
        Error::Metadata { path: self.path.to_path_buf(), key, problem: problem.to_string() }
    }

    fn text(&self, key: &'static str) -> Result<&str, Error> {
        self.metadata.get(key).map(String::as_str).ok_or_else(|| self.problem(key, "is missing"))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, key: &'static str) -> Result<T, Error> {
        serde_json::from_str(self.text(key)?)
            .map_err(|error| self.problem(key, &format!("cannot be read: {error}")))
    }

    fn positive(&self, key: &'static str) -> Result<i64, Error> {
        let number = self.json(key)?;
        if number < 1 {
            Err(self.problem(key, &format!("must be at least 1, is {number}")))
        } else {
            Ok(number)
        }
    }
}
