//! How good a network is on a set: top-1, top-5, loss, which classes it takes for which, how well it knows itself, and
//! its surest mistakes; all in one pass.

mod calibration;
mod class_scores;
mod details;
mod first_layer;
mod mistake;

use datasets::{Batches, Loader};
use serde_json::{Value, json};
use tch::Kind;
use xception::Xception;

pub(crate) use self::calibration::{Bin, Calibration};
pub(crate) use self::class_scores::ClassScores;
pub(crate) use self::details::{Details, FILE, LeftOutNames, PicturedMistake};
pub(crate) use self::first_layer::FirstLayer;
pub(crate) use self::mistake::Mistake;

use crate::Error;
use crate::forward::{Forward, Views};
use crate::left_out::LeftOut;
use crate::precision::Precision;

/// What was counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evaluation {
    /// Pictures in all.
    pub(crate) images: u64,
    /// Part of the pictures whose label has the largest logit.
    pub(crate) top1: f64,
    /// Part of the pictures whose label is among the five largest logits (all, with fewer classes).
    pub(crate) top5: f64,
    /// Mean cross-entropy.
    pub(crate) loss: f64,
    /// Pictures of class `row` that were taken for class `column`.
    pub(crate) confusion: Vec<Vec<u64>>,
    /// Confidence against accuracy.
    pub(crate) calibration: Calibration,
    /// The most confident mistakes, surest first.
    pub(crate) mistakes: Vec<Mistake>,
    /// What could not be read and is in none of the figures.
    pub(crate) left_out: LeftOut,
}

impl Evaluation {
    /// Runs `model` over one epoch of `loader`. `after` hears how many pictures are done, and its error ends it.
    pub(crate) fn of(
        model: &Xception,
        loader: &Loader,
        precision: Precision,
        views: Views,
        mut after: impl FnMut(u64) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let classes = loader.pictures().class_names().len();
        let mut confusion = vec![vec![0_u64; classes]; classes];
        let (mut images, mut in_top5, mut loss) = (0_u64, 0_i64, 0.0);
        let (mut calibration, mut mistakes) = (Calibration::default(), Vec::new());
        let mut left_out = LeftOut::default();
        let batches: Batches = loader.epoch(0);
        let mut forward = Forward::new(model, precision, loader.config().batch_size);
        tch::no_grad(|| -> Result<(), Error> {
            for batch in batches {
                let batch = batch?;
                left_out.add(&batch);
                if batch.indices.is_empty() {
                    continue;
                }
                let logits = forward.logits(&batch.images, views)?;
                let log_probabilities = logits.log_softmax(-1, Kind::Double);
                loss -= log_probabilities
                    .gather(1, &batch.labels.unsqueeze(1), false)
                    .sum(Kind::Double)
                    .double_value(&[]);
                let (_, ranked) = logits.topk(5.min(classes as i64), 1, true, true);
                let hits = ranked.eq_tensor(&batch.labels.unsqueeze(1));
                in_top5 += hits.sum(Kind::Int64).int64_value(&[]);
                let best = ranked.narrow(1, 0, 1);
                let confidence = log_probabilities.gather(1, &best, false).exp().view([-1]);
                let confidence: Vec<f64> = confidence.try_into().expect("a vector of numbers");
                let predicted: Vec<i64> = best.view([-1]).try_into().expect("a vector of classes");
                let labels: Vec<i64> = (&batch.labels).try_into().expect("a vector of labels");
                let pictures =
                    batch.indices.iter().zip(labels).zip(predicted.iter().zip(confidence));
                for ((&index, label), (&predicted, probability)) in pictures {
                    let (label, predicted) = (label as usize, predicted as usize);
                    confusion[label][predicted] += 1;
                    calibration.add(probability, label == predicted);
                    if label != predicted {
                        mistakes.push(Mistake { index, label, predicted, probability });
                    }
                }
                images += batch.indices.len() as u64;
                after(images)?;
            }
            Ok(())
        })?;
        let right: u64 = confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
        let part = |count: f64| if images == 0 { 0.0 } else { count / images as f64 };
        Ok(Self {
            images,
            top1: part(right as f64),
            top5: part(in_top5 as f64),
            loss: part(loss),
            confusion,
            calibration,
            mistakes: mistake::most_confident(mistakes),
            left_out,
        })
    }

    /// Part of each class's pictures that were recognised; `None` for a class without pictures.
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
