//! What a weights file says about itself, so that nobody has to say it again on the command line.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::{Error, ModelSpec, Preset};

/// How images come to another size: under which curve pixels are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// A triangle. Pillow: `BILINEAR`.
    #[default]
    Bilinear,
    /// Cubic pieces. Pillow: `BICUBIC`.
    Bicubic,
}

/// The metadata of a weights file of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The network.
    pub spec: ModelSpec,
    /// The name of each class, in the order of the logits.
    pub class_names: Vec<String>,
    /// Rows and columns of the images that it was trained on.
    pub input: i64,
    /// What part of an image's shorter side they were cut from. timm: `crop_pct`.
    pub crop_fraction: f64,
    /// How they came to that size.
    pub interpolation: Interpolation,
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
            ("options", json!(self.spec.options).to_string()),
            ("class_names", json!(self.class_names).to_string()),
            ("input", self.input.to_string()),
            ("crop_fraction", json!(self.crop_fraction).to_string()),
            ("interpolation", json!(self.interpolation).to_string()),
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
            // Here and below: files of earlier versions do not have all.
            options: reader.json_if_there("options")?.unwrap_or_default(),
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
            crop_fraction: reader.crop_fraction()?,
            interpolation: reader.json_if_there("interpolation")?.unwrap_or_default(),
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

    fn json_if_there<T: serde::de::DeserializeOwned>(
        &self,
        key: &'static str,
    ) -> Result<Option<T>, Error> {
        self.metadata.contains_key(key).then(|| self.json(key)).transpose()
    }

    fn crop_fraction(&self) -> Result<f64, Error> {
        let fraction = self.json_if_there("crop_fraction")?.unwrap_or(1.0);
        match fraction > 0.1 && fraction <= 1.0 {
            true => Ok(fraction),
            false => Err(self.problem(
                "crop_fraction",
                &format!("must be above 0.1 and at most 1, is {fraction}"),
            )),
        }
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
