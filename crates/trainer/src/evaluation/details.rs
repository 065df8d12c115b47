//! `evaluation.json`: the final evaluation in full, so that a report needs neither the data set nor the network.

use std::path::Path;

use datasets::{Loader, regular_file};
use serde::{Deserialize, Deserializer, Serialize};

use super::Evaluation;
use super::calibration::Bin;
use super::class_scores::ClassScores;
use super::first_layer::FirstLayer;
use super::mistake::Mistake;
use super::ranking::{Ranking, RankingCurves};
use super::rows::Rows;
use super::several::Several;
use crate::data::typical_side;
use crate::evaluation::Error;
use crate::network::images::png_base64;

/// The file's name in a run's folder.
pub(crate) const FILE: &str = "evaluation.json";

/// The content of the file. A figure that was not finite is null there and NaN here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Details {
    /// `cifar10`, `cifar100` or `synthetic`.
    pub(crate) data: String,
    /// By label.
    pub(crate) class_names: Vec<String>,
    /// Images in all.
    pub(crate) images: u64,
    /// Part of the images whose label has the largest logit.
    #[serde(deserialize_with = "null_is_nan")]
    pub(crate) top1: f64,
    /// Part of the images whose label is among the five largest logits.
    #[serde(deserialize_with = "null_is_nan")]
    pub(crate) top5: f64,
    /// Mean cross-entropy.
    #[serde(deserialize_with = "null_is_nan")]
    pub(crate) loss: f64,
    /// Expected calibration error.
    #[serde(deserialize_with = "null_is_nan")]
    pub(crate) ece: f64,
    /// Images of class `row` that were classified as class `column`.
    pub(crate) confusion: Vec<Vec<u64>>,
    /// By label.
    pub(crate) classes: Vec<ClassScores>,
    /// The ranking of each class's images against all others, where the answers to all images were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rankings: Vec<Ranking>,
    /// With two classes, the curves of the second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) curves: Option<RankingCurves>,
    /// Figures of images with any number of classes, which have no confusion matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) several: Option<Several>,
    /// The shorter side that image files typically have, in pixels, before they are resized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) typical_side: Option<usize>,
    /// Training images by label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) training_images: Vec<u64>,
    /// Least confident first.
    pub(crate) calibration: Vec<Bin>,
    /// The most confident first.
    pub(crate) mistakes: Vec<ShownMistake>,
    /// Of a run with a validation set: part of the test images whose label had the largest logit after the best epoch, which
    /// the validation set chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) best_top1: Option<f64>,
    /// Images that could not be read. They are in none of the figures.
    #[serde(default)]
    pub(crate) left_out: LeftOutNames,
    /// The filters of the first layer, if its input has three colours.
    pub(crate) first_layer: Option<FirstLayer>,
}

/// The names of images that could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOutNames {
    /// Images of the training set.
    pub(crate) train: Vec<String>,
    /// Images of the validation set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) validation: Vec<String>,
    /// Images of the test set.
    pub(crate) test: Vec<String>,
}

impl LeftOutNames {
    /// Those in the results of a run that was finished before, if it has any.
    pub(crate) fn in_results(path: &Path) -> Option<Self> {
        let mut results: serde_json::Value =
            serde_json::from_slice(&regular_file::read(path).ok()?).ok()?;
        serde_json::from_value(results["left_out"].take()).ok()
    }

    pub(crate) fn count(&self) -> usize {
        self.train.len() + self.validation.len() + self.test.len()
    }
}

/// A mistake and its image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShownMistake {
    /// The mistake.
    #[serde(flatten)]
    pub(crate) mistake: Mistake,
    /// The name of the file, where the set consists of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The image of the test set, before any augmentation, as PNG in base64.
    pub(crate) png: String,
}

impl Details {
    /// The details of `evaluation` on the images of `loader`, which are of the set `data`, with the weights in `weights_file`.
    /// `training_images` are by label; empty where they are not known.
    pub(crate) fn of(
        evaluation: &Evaluation,
        data: &str,
        training_images: Vec<u64>,
        loader: &Loader,
        left_out: LeftOutNames,
        weights_file: &Path,
    ) -> Result<Self, Error> {
        let [height, width] = loader.size();
        let images = loader.images();
        let is_files = images.size().is_none();
        let shown = |mistake: &Mistake| -> Result<ShownMistake, Error> {
            let index = mistake.index as usize;
            let png = png_base64(&loader.plain(index)?, width, height);
            let name = is_files.then(|| images.name(index));
            Ok(ShownMistake { mistake: *mistake, name, png })
        };
        let one_class = evaluation.rows.as_ref().filter(|_| evaluation.several.is_none());
        let has_two = images.class_names().len() == 2;
        Ok(Self {
            data: data.to_string(),
            class_names: images.class_names().to_vec(),
            images: evaluation.images,
            top1: evaluation.top1,
            top5: evaluation.top5,
            loss: evaluation.loss,
            ece: evaluation.calibration.expected_error(),
            confusion: evaluation.confusion.clone(),
            classes: ClassScores::of(&evaluation.confusion),
            rankings: one_class.map(Rows::rankings).unwrap_or_default(),
            curves: one_class.filter(|_| has_two).and_then(|rows| rows.ranked(1).curves()),
            several: evaluation.several.clone(),
            typical_side: typical_side(images),
            training_images,
            calibration: evaluation.calibration.bins(),
            mistakes: evaluation.mistakes.iter().map(shown).collect::<Result<_, _>>()?,
            best_top1: None,
            left_out,
            first_layer: FirstLayer::read(weights_file)?,
        })
    }

    /// Writes [`FILE`] into `folder`.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), Error> {
        let text = serde_json::to_string(self).expect("plain values are JSON");
        Ok(crate::whole_file::write(&folder.join(FILE), &format!("{text}\n"))?)
    }

    /// Whether the lengths of all lists agree.
    pub(crate) fn is_consistent(&self) -> bool {
        let classes = self.class_names.len();
        let of_classes = match &self.several {
            Some(several) => several.by_class.as_ref().is_none_or(|figures| {
                [figures.classes.len(), figures.together.len()] == [classes; 2]
            }),
            None => self.confusion.len() == classes && self.classes.len() == classes,
        };
        of_classes
            && [self.rankings.len(), self.training_images.len()]
                .iter()
                .all(|length| *length == 0 || *length == classes)
            && self.confusion.iter().all(|row| row.len() == classes)
            && self
                .mistakes
                .iter()
                .all(|shown| shown.mistake.label < classes && shown.mistake.predicted < classes)
    }
}

fn null_is_nan<'de, D: Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or(f64::NAN))
}
