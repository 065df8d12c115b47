//! Measures a network on a set in one pass: top-1, top-5, loss, confusion matrix, calibration and the most confident
//! mistakes.

mod calibration;
mod class_scores;
mod counts;
mod details;
mod error;
mod first_layer;
mod mistake;

use datasets::Loader;
use serde_json::{Value, json};
use xception::Xception;

pub(crate) use self::calibration::{Bin, Calibration};
pub(crate) use self::class_scores::ClassScores;
pub(crate) use self::details::{Details, FILE, LeftOutNames, ShownMistake};
pub(crate) use self::error::Error;
pub(crate) use self::first_layer::FirstLayer;
pub(crate) use self::mistake::Mistake;

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
}

impl Evaluation {
    /// Runs `model` over one epoch of `loader`. Calls `after` with the number of images so far after each batch, and
    /// stops at its first error.
    pub(crate) fn of<E: From<Error>>(
        model: &Xception,
        loader: &Loader,
        precision: Precision,
        views: Views,
        after: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Self, E> {
        Ok(Counts::of(model, loader, precision, views, after)?.evaluation())
    }

    /// The same with all ranks: each measures its share, and every rank returns the figures of the whole set.
    pub(crate) fn of_all_ranks<E: From<Error>>(
        model: &Xception,
        loader: &Loader,
        precision: Precision,
        world: &World,
        after: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Self, E> {
        let own = Counts::of(model, loader, precision, Views::One, after)?;
        Ok(own.of_all_ranks(world)?.evaluation())
    }

    /// The recall of each class; `None` for a class without images.
    pub(crate) fn per_class(&self) -> Vec<Option<f64>> {
        ClassScores::of(&self.confusion).iter().map(|scores| scores.recall).collect()
    }

    /// The figures for programs: `top1, top5, loss, images, ece`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "top1": self.top1, "top5": self.top5, "loss": self.loss, "images": self.images,
            "ece": self.calibration.expected_error(),
        })
    }

    /// The same with `classes`, one object a class.
    pub(crate) fn to_json_by_class(&self, class_names: &[String]) -> Value {
        let class = |(name, scores): (&String, &ClassScores)| {
            let mut class = json!(scores);
            class["name"] = json!(name);
            class
        };
        let scores = ClassScores::of(&self.confusion);
        let mut document = self.to_json();
        document["classes"] = class_names.iter().zip(&scores).map(class).collect();
        document
    }
}

#[cfg(test)]
mod tests;
