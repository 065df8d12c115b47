//! The loss of a step: of images with one class each, cross-entropy; of images with any number of classes, a loss of each
//! class; with label smoothing, and with the labels of partners in a mixed batch.

mod one_class;
mod several_classes;

use tch::{Device, Kind, Tensor};

use self::one_class::OneClass;
use self::several_classes::SeveralClasses;
use crate::recipe::LossPlan;

/// The loss of a step.
///
/// Labels are int64 `[n]` where images have one class, and float32 `[n, classes]` of 0 and 1 where they have any number; of a
/// mixed batch they are stacked, `[2, …]`: own labels, and those of the images that are mixed into these.
pub(super) enum Loss {
    One(OneClass),
    Several(SeveralClasses),
}

impl Loss {
    /// Cross-entropy without favours.
    pub(super) fn new(label_smoothing: f64) -> Self {
        Loss::One(OneClass::new(label_smoothing))
    }

    /// The loss of `plan`, on `device`.
    pub(super) fn planned(plan: &LossPlan, label_smoothing: f64, device: Device) -> Self {
        match plan {
            LossPlan::One(balance) => {
                Loss::One(OneClass::new(label_smoothing).favouring(balance, device))
            }
            LossPlan::Several { form, positive_weights } => Loss::Several(SeveralClasses::new(
                *form,
                positive_weights.as_deref(),
                label_smoothing,
                device,
            )),
        }
    }

    /// The mean over the images of `logits`, fp32 `[n, classes]`. Partners' labels count by the rest of `own_share`.
    pub(super) fn of(&self, logits: &Tensor, labels: &Tensor, own_share: &Tensor) -> Tensor {
        match self {
            Loss::One(loss) => loss.of(logits, labels, own_share),
            Loss::Several(loss) => loss.of(logits, labels, own_share),
        }
    }

    /// Images whose likeliest class is theirs, or one of theirs: int64 scalar. Of a mixed batch, own labels count.
    pub(super) fn correct(&self, logits: &Tensor, labels: &Tensor) -> Tensor {
        let best = logits.argmax(1, false);
        let own = if self.is_mixed(labels) { labels.get(0) } else { labels.shallow_clone() };
        match self {
            Loss::One(_) => best.eq_tensor(&own).sum(Kind::Int64),
            Loss::Several(_) => own.gather(1, &best.unsqueeze(1), false).gt(0.5).sum(Kind::Int64),
        }
    }

    /// The labels of `count` images from `start` on.
    pub(super) fn narrow(&self, labels: &Tensor, start: i64, count: i64) -> Tensor {
        let images = match self {
            Loss::One(_) => -1,
            Loss::Several(_) => -2,
        };
        labels.narrow(images, start, count)
    }

    fn is_mixed(&self, labels: &Tensor) -> bool {
        match self {
            Loss::One(_) => labels.dim() == 2,
            Loss::Several(_) => labels.dim() == 3,
        }
    }
}

fn on(values: &[f64], device: Device) -> Tensor {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    Tensor::from_slice(&values).to_device(device)
}
