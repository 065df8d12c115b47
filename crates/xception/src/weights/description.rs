//! The description in a weights file's metadata, so that nobody has to repeat it on the command line.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::{Error, Labels};
use crate::preprocessing::{Fit, Interpolation, Preprocessing};
use crate::preset::{ModelSpec, Preset};

/// The metadata of a weights file of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The network; with 0 classes where the file holds no head.
    pub spec: ModelSpec,
    /// The name of each class, in the order of the logits.
    pub class_names: Vec<String>,
    /// Rows and columns, in pixels, of the images that it was trained on: [`Preprocessing::side`].
    pub input: i64,
    /// The part of an image's shorter side that is kept, above 0.1 and at most 1. timm: `crop_pct`.
    pub crop_fraction: f64,
    /// The interpolation of the resize.
    pub interpolation: Interpolation,
    /// The way to a square.
    pub fit: Fit,
    /// The mean of red, green and blue, on the scale 0 to 1; it is subtracted.
    pub mean: [f64; 3],
    /// The standard deviation of red, green and blue, on the scale 0 to 1; it is divided by.
    pub std: [f64; 3],
    /// The data set that it was trained on, such as `cifar10` or `synthetic`.
    pub data: String,
    /// The classes that an image may have.
    pub labels: Labels,
}

impl Description {
    /// The description of the network of `spec`, with `preprocessing`.
    #[must_use]
    pub fn new(
        spec: ModelSpec,
        class_names: Vec<String>,
        preprocessing: &Preprocessing,
        data: &str,
    ) -> Self {
        let Preprocessing { side: input, crop_fraction, interpolation, fit, mean, std } =
            *preprocessing;
        let (data, labels) = (data.to_string(), Labels::One);
        Self {
            spec,
            class_names,
            input,
            crop_fraction,
            interpolation,
            fit,
            mean,
            std,
            data,
            labels,
        }
    }

    /// Takes `preprocessing` for that which the weights were trained with.
    pub fn set_preprocessing(&mut self, preprocessing: &Preprocessing) {
        let Self { spec, class_names, data, labels, .. } = self;
        let labels = std::mem::take(labels);
        let new = Self::new(*spec, std::mem::take(class_names), preprocessing, data);
        *self = Self { labels, ..new };
    }

    /// The preprocessing that the weights were trained with.
    #[must_use]
    pub fn preprocessing(&self) -> Preprocessing {
        let mut preprocessing = Preprocessing::new(self.input, self.mean, self.std);
        preprocessing.crop_fraction = self.crop_fraction;
        preprocessing.interpolation = self.interpolation;
        preprocessing.fit = self.fit;
        preprocessing
    }

    /// The description as safetensors metadata: one key for each field, JSON where it is not a word or a number.
    #[must_use]
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let of_labels = match &self.labels {
            // Files of one class an image are those of earlier versions.
            Labels::One => None,
            Labels::Several { thresholds } => Some(("thresholds", json!(thresholds).to_string())),
        };
        let always = [
            ("preset", self.spec.preset.to_string()),
            ("classes", self.spec.classes.to_string()),
            ("scale", json!(self.spec.scale).to_string()),
            ("options", json!(self.spec.options).to_string()),
            ("class_names", json!(self.class_names).to_string()),
            ("input", self.input.to_string()),
            ("crop_fraction", json!(self.crop_fraction).to_string()),
            ("interpolation", json!(self.interpolation).to_string()),
            ("fit", json!(self.fit).to_string()),
            ("mean", json!(self.mean).to_string()),
            ("std", json!(self.std).to_string()),
            ("data", self.data.clone()),
        ];
        let all = always.into_iter().chain(of_labels);
        all.map(|(key, value)| (key.to_string(), value)).collect()
    }

    /// Reads the metadata of the file at `path`; `None` for a foreign file, which has no `preset`.
    ///
    /// # Errors
    /// Metadata that are missing or malformed, or a preset that this version does not know.
    pub fn from_metadata(
        path: &Path,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, Error> {
        let Some(preset) = metadata.get("preset") else { return Ok(None) };
        let reader = Reader { path, metadata };
        let preset: Preset = preset.parse()?;
        let spec = ModelSpec {
            preset,
            classes: reader.at_least("classes", 0)?,
            scale: reader.json("scale")?,
            // Files of earlier versions lack this key and some of those below.
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
            input: reader.side()?,
            crop_fraction: reader.crop_fraction()?,
            interpolation: reader.json_if_there("interpolation")?.unwrap_or_default(),
            fit: reader.json_if_there("fit")?.unwrap_or_default(),
            mean: reader.colours("mean", f64::MIN, "finite numbers of fp32")?,
            std: reader.colours("std", SMALLEST_STD, "above 0 and finite in fp32")?,
            data: reader.text("data")?.to_string(),
            labels: reader.labels(spec.classes)?,
        }))
    }
}

/// The largest side of images that a file may ask for, in pixels.
const LARGEST_SIDE: i64 = 8192;

/// The smallest standard deviation: fp32's smallest normal number.
const SMALLEST_STD: f64 = f32::MIN_POSITIVE as f64;

/// Metadata, with the file's name for messages.
struct Reader<'a> {
    path: &'a Path,
    metadata: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn problem(&self, key: &'static str, problem: &str) -> Error {
        Error::Metadata { path: self.path.to_path_buf(), key, problem: problem.to_string() }
    }

    fn labels(&self, classes: i64) -> Result<Labels, Error> {
        let Some(thresholds) = self.json_if_there::<Vec<f64>>("thresholds")? else {
            return Ok(Labels::One);
        };
        let fit = thresholds.iter().all(|threshold| (0.0..=1.0).contains(threshold));
        if thresholds.len() as i64 != classes || !fit {
            let problem = format!("must be {classes} probabilities, one for each class");
            return Err(self.problem("thresholds", &problem));
        }
        Ok(Labels::Several { thresholds })
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
        if fraction > 0.1 && fraction <= 1.0 {
            return Ok(fraction);
        }
        let problem = format!("must be above 0.1 and at most 1, is {fraction}");
        Err(self.problem("crop_fraction", &problem))
    }

    /// The side of the images.
    fn side(&self) -> Result<i64, Error> {
        let side = self.at_least("input", 1)?;
        if side > LARGEST_SIDE {
            return Err(
                self.problem("input", &format!("must be at most {LARGEST_SIDE}, is {side}"))
            );
        }
        Ok(side)
    }

    /// Three numbers of at least `least` that fp32 holds.
    fn colours(&self, key: &'static str, least: f64, accepted: &str) -> Result<[f64; 3], Error> {
        let values: [f64; 3] = self.json(key)?;
        if values.iter().all(|&value| value >= least && (value as f32).is_finite()) {
            return Ok(values);
        }
        Err(self.problem(key, &format!("must be {accepted}, is {values:?}")))
    }

    fn at_least(&self, key: &'static str, least: i64) -> Result<i64, Error> {
        let number = self.json(key)?;
        if number < least {
            Err(self.problem(key, &format!("must be at least {least}, is {number}")))
        } else {
            Ok(number)
        }
    }
}
