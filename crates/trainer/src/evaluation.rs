//! Measures a network on a set in one pass: top-1, top-5, loss, confusion matrix, calibration, the most confident
//! mistakes and, where they are kept, the answers to all images.

mod calibration;
mod class_scores;
mod counts;
mod details;
mod error;
mod first_layer;
#[cfg(test)]
mod golden;
mod mistake;
mod neglected;
mod overall;
mod ranking;
mod rows;

use datasets::Loader;
use serde_json::{Value, json};
use xception::Xception;

pub(crate) use self::calibration::{Bin, Calibration};
pub(crate) use self::class_scores::ClassScores;
pub(crate) use self::details::{Details, FILE, LeftOutNames, ShownMistake};
pub(crate) use self::error::Error;
pub(crate) use self::first_layer::FirstLayer;
pub(crate) use self::mistake::Mistake;
pub(crate) use self::neglected::{Neglected, neglected};
pub(crate) use self::overall::{Guess, Overall, TOP5_CLASSES, digits};
pub(crate) use self::ranking::Ranking;
pub(crate) use self::rows::{Keep, PREDICTIONS, Rows};

use crate::data::unreadable_images::LeftOut;
use crate::network::forward::Views;
use crate::precision::Precision;
use crate::ranks::World;

use self::counts::Counts;

/// The figures of a network on a set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evaluation {
    /// Images in all.
    pub(crate) images: u64,
    /// Part of the images whose label has the largest logit.
    pub(crate) top1: f64,
    /// Part of the images whose label is among the five largest logits (among all, with fewer classes).
    pub(crate) top5: f64,
    /// Mean cross-entropy.
    pub(crate) loss: f64,
    /// Images of class `row` that were classified as class `column`.
    pub(crate) confusion: Vec<Vec<u64>>,
    /// Confidence against accuracy.
    pub(crate) calibration: Calibration,
    /// The most confident mistakes, the most confident first.
    pub(crate) mistakes: Vec<Mistake>,
    /// Images that could not be read. They are in none of the figures.
    pub(crate) left_out: LeftOut,
    /// The answer to every image, where [`Keep::Rows`] asked for it and they are not too many.
    pub(crate) rows: Option<Rows>,
}

impl Evaluation {
    /// Runs `model` over one epoch of `loader`. Calls `after` with the number of images so far after each batch, and
    /// stops at its first error.
    pub(crate) fn of<E: From<Error>>(
        model: &Xception,
        loader: &Loader,
        precision: Precision,
        views: Views,
        keep: Keep,
        after: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Self, E> {
        Ok(Counts::of(model, loader, precision, views, keep, after)?.evaluation())
    }

    /// The same with all ranks: each measures its share, and every rank returns the figures of the whole set.
    pub(crate) fn of_all_ranks<E: From<Error>>(
        model: &Xception,
        loader: &Loader,
        precision: Precision,
        world: &World,
        keep: Keep,
        after: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Self, E> {
        let own = Counts::of(model, loader, precision, Views::One, keep, after)?;
        Ok(own.of_all_ranks(world)?.evaluation())
    }

    /// The recall of each class; `None` for a class without images.
    pub(crate) fn per_class(&self) -> Vec<Option<f64>> {
        ClassScores::of(&self.confusion).iter().map(|scores| scores.recall).collect()
    }

    /// Scores of the whole confusion matrix, and what guessing would give.
    pub(crate) fn overall(&self) -> Overall {
        Overall::of(&self.confusion)
    }

    /// The figures for programs: `top1, top5, loss, images, ece`, and those of [`Overall`].
    pub(crate) fn to_json(&self, class_names: &[String]) -> Value {
        let mut document = json!({
            "top1": self.top1, "top5": self.top5, "loss": self.loss, "images": self.images,
            "ece": self.calibration.expected_error(),
        });
        if let Some(document) = document.as_object_mut() {
            document.extend(self.overall().to_json(class_names));
        }
        document
    }

    /// The same with `classes`, one object a class.
    pub(crate) fn to_json_by_class(&self, class_names: &[String]) -> Value {
        let rankings = self.rows.as_ref().map(Rows::rankings);
        let class = |(class, scores): (usize, &ClassScores)| {
            let mut document = json!(scores);
            document["name"] = json!(class_names[class]);
            if let Some(Ranking { roc_auc, average_precision }) =
                rankings.as_ref().map(|rankings| rankings[class])
            {
                document["roc_auc"] = json!(roc_auc);
                document["average_precision"] = json!(average_precision);
            }
            document
        };
        let scores = ClassScores::of(&self.confusion);
        let mut document = self.to_json(class_names);
        document["classes"] = scores.iter().enumerate().map(class).collect();
        document
    }
}

#[cfg(test)]
mod tests;
