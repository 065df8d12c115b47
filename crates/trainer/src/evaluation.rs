//! How good a network is on a set: top-1, top-5, loss, and which classes it takes for which.

use datasets::{Batches, Loader};
use serde_json::{Value, json};
use tch::{IndexOp, Kind};
use xception::Xception;

use crate::Error;
use crate::forward::{Forward, Views};
use crate::precision::Precision;

/// What was counted.
#[derive(Debug, Clone, PartialEq)]
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
}

impl Evaluation {
    /// Runs `model` over one epoch of `loader`. `after` hears how many pictures are done.
    pub(crate) fn of(
        model: &Xception,
        loader: &Loader,
        precision: Precision,
        views: Views,
        mut after: impl FnMut(u64),
    ) -> Result<Self, Error> {
        let classes = loader.pictures().class_names().len();
        let mut confusion = vec![vec![0_u64; classes]; classes];
        let (mut images, mut in_top5, mut loss) = (0_u64, 0_i64, 0.0);
        let batches: Batches = loader.epoch(0);
        let mut forward = Forward::new(model, precision, loader.config().batch_size);
        tch::no_grad(|| -> Result<(), Error> {
            for batch in batches {
                let logits = forward.logits(&batch.images, views)?;
                let log_probabilities = logits.log_softmax(-1, Kind::Double);
                loss -= log_probabilities
                    .gather(1, &batch.labels.unsqueeze(1), false)
                    .sum(Kind::Double)
                    .double_value(&[]);
                let (_, ranked) = logits.topk(5.min(classes as i64), 1, true, true);
                let hits = ranked.eq_tensor(&batch.labels.unsqueeze(1));
                in_top5 += hits.sum(Kind::Int64).int64_value(&[]);
                let predicted: Vec<i64> =
                    ranked.i((.., 0)).try_into().expect("a vector of classes");
                let labels: Vec<i64> = (&batch.labels).try_into().expect("a vector of labels");
                for (label, predicted) in labels.into_iter().zip(predicted) {
                    confusion[label as usize][predicted as usize] += 1;
                }
                images += batch.indices.len() as u64;
                after(images);
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
        })
    }

    /// Part of each class's pictures that were recognised; `None` for a class without pictures.
    pub(crate) fn per_class(&self) -> Vec<Option<f64>> {
        let recall = |(class, row): (usize, &Vec<u64>)| {
            let all: u64 = row.iter().sum();
            (all > 0).then(|| row[class] as f64 / all as f64)
        };
        self.confusion.iter().enumerate().map(recall).collect()
    }

    /// The figures for programs: `top1, top5, loss, images`.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "top1": self.top1, "top5": self.top5, "loss": self.loss, "images": self.images })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(confusion: Vec<Vec<u64>>) -> Evaluation {
        Evaluation { images: 6, top1: 0.5, top5: 1.0, loss: 1.0, confusion }
    }

    #[test]
    fn a_class_without_pictures_has_no_accuracy() {
        let evaluation = counted(vec![vec![3, 1, 0], vec![2, 0, 0], vec![0, 0, 0]]);
        assert_eq!(evaluation.per_class(), [Some(0.75), Some(0.0), None]);
    }
}
