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
mod several;

use datasets::{Loader, Source};
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
pub(crate) use self::several::{ByClass, ClassAnswers, Several};

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
    /// Part of the images whose label has the largest logit; of several labels, any of them.
    pub(crate) top1: f64,
    /// Part of the images whose label is among the five largest logits (among all, with fewer classes).
    pub(crate) top5: f64,
    /// Mean cross-entropy; of several labels, binary and also over the classes.
    pub(crate) loss: f64,
    /// Images of class `row` that were classified as class `column`; empty where images have any number of classes.
    pub(crate) confusion: Vec<Vec<u64>>,
    /// Confidence against accuracy.
    pub(crate) calibration: Calibration,
    /// The most confident mistakes, the most confident first.
    pub(crate) mistakes: Vec<Mistake>,
    /// Images that could not be read. They are in none of the figures.
    pub(crate) left_out: LeftOut,
    /// The answer to every image, where [`Keep::Rows`] asked for it and they are not too many.
    pub(crate) rows: Option<Rows>,
    /// The figures of images with any number of classes; those of each class once [`Evaluation::with_thresholds`] says what
    /// counts as an answer.
    pub(crate) several: Option<Several>,
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

    /// The same with the figures of each class, where images have any number of them: with the answers from `thresholds` on, or
    /// from 0.5 on.
    pub(crate) fn with_thresholds(mut self, thresholds: Option<&[f64]>) -> Self {
        if let (Some(several), Some(rows)) = (&mut self.several, &self.rows) {
            let usual = vec![0.5; rows.classes()];
            several.by_class = Some(ByClass::of(rows, thresholds.unwrap_or(&usual)));
        }
        self
    }

    /// The thresholds that the answers for images with any number of classes were made with.
    fn thresholds(&self) -> Option<Vec<f64>> {
        let figures = self.several.as_ref()?.by_class.as_ref()?;
        Some(figures.classes.iter().map(|class| class.threshold).collect())
    }

    /// [`PREDICTIONS`] as text: a line for each of `images`, if their answers were kept.
    pub(crate) fn predictions(&self, images: &dyn Source) -> Option<String> {
        let rows = self.rows.as_ref()?;
        Some(rows.to_csv(images, self.thresholds().as_deref()))
    }

    /// The thresholds of the largest F1, where images have any number of classes and the answers were kept.
    pub(crate) fn best_thresholds(&self) -> Option<Vec<f64>> {
        self.several.as_ref()?;
        self.rows.as_ref().map(Rows::best_thresholds)
    }

    /// The recall of each class, or its average precision where images have several; `None` for a class without images.
    pub(crate) fn per_class(&self) -> Vec<Option<f64>> {
        if let Some(several) = &self.several {
            let classes = several.by_class.iter().flat_map(|figures| &figures.classes);
            return classes.map(|class| class.ranking.average_precision).collect();
        }
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
        let more = match &self.several {
            Some(several) => several.to_json(),
            None => self.overall().to_json(class_names),
        };
        if let Some(document) = document.as_object_mut() {
            document.extend(more);
        }
        document
    }

    /// The same with `classes`, one object a class.
    pub(crate) fn to_json_by_class(&self, class_names: &[String]) -> Value {
        let mut document = self.to_json(class_names);
        if let Some(ByClass { classes, .. }) =
            self.several.as_ref().and_then(|several| several.by_class.as_ref())
        {
            let class = |(name, answers): (&String, &ClassAnswers)| {
                let mut class = json!(answers);
                class["name"] = json!(name);
                class
            };
            document["classes"] = class_names.iter().zip(classes).map(class).collect();
            return document;
        }
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
        document["classes"] = scores.iter().enumerate().map(class).collect();
        document
    }
}

#[cfg(test)]
mod tests;
