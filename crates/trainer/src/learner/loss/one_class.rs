//! The loss of images with one class each: cross-entropy, with favours for classes that have few images.

use tch::{Device, Reduction, Tensor};

use super::on;
use crate::recipe::ClassBalance;

/// Cross-entropy.
pub(in crate::learner) struct OneClass {
    label_smoothing: f64,
    /// The factor of each class's loss, fp32 `[classes]`.
    weights: Option<Tensor>,
    /// The number that is added to each class's logit, fp32 `[classes]`.
    offsets: Option<Tensor>,
}

impl OneClass {
    /// Without favours.
    pub(super) fn new(label_smoothing: f64) -> Self {
        Self { label_smoothing, weights: None, offsets: None }
    }

    /// The same with the favours of `balance`, on `device`.
    pub(super) fn favouring(self, balance: &ClassBalance, device: Device) -> Self {
        let tensor = |values: &Vec<f64>| on(values, device);
        Self {
            weights: balance.loss_weights.as_ref().map(tensor),
            offsets: balance.logit_offsets.as_ref().map(tensor),
            ..self
        }
    }

    /// The mean over the images of `logits`, fp32 `[n, classes]`. `labels` are `[n]`, or for a mixed batch `[2, n]`: own labels
    /// and partners', in shares of `own_share` and the rest.
    pub(super) fn of(&self, logits: &Tensor, labels: &Tensor, own_share: &Tensor) -> Tensor {
        let adjusted = self.offsets.as_ref().map(|offsets| logits + offsets);
        let logits = adjusted.as_ref().unwrap_or(logits);
        if labels.dim() == 1 {
            return self.cross_entropy(logits, labels);
        }
        let own = self.cross_entropy(logits, &labels.get(0));
        self.cross_entropy(logits, &labels.get(1)).lerp_tensor(&own, own_share)
    }

    /// Mean cross-entropy, fp32. PyTorch: `F.cross_entropy(logits, labels, label_smoothing=…)`. With weights, each image's loss
    /// is multiplied by that of its label before the mean, as Keras does it. PyTorch divides by the weights of the batch
    /// instead, so that its steps depend on which classes are drawn.
    fn cross_entropy(&self, logits: &Tensor, labels: &Tensor) -> Tensor {
        let loss = |reduction| {
            logits.cross_entropy_loss(labels, None::<Tensor>, reduction, -100, self.label_smoothing)
        };
        match &self.weights {
            Some(weights) => {
                (loss(Reduction::None) * weights.index_select(0, labels)).mean(logits.kind())
            }
            None => loss(Reduction::Mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn logits() -> Tensor {
        Tensor::from_slice(&[1.0_f32, -0.5, 0.25, 0.0, 2.0, -1.0, 0.5, 0.5, 3.0]).view([3, 3])
    }

    /// Log-probabilities by hand, in double precision.
    fn expected(offsets: [f64; 3], weights: [f64; 3], smoothing: f64, labels: [usize; 3]) -> f64 {
        let rows: Vec<f64> = Vec::try_from(logits().to_kind(Kind::Double).view([-1])).unwrap();
        let losses = rows.chunks(3).zip(labels).map(|(row, label)| {
            let row: Vec<f64> = row.iter().zip(offsets).map(|(x, offset)| x + offset).collect();
            let sum = row.iter().map(|x| x.exp()).sum::<f64>().ln();
            let smooth: f64 = row.iter().map(|x| sum - x).sum::<f64>() / 3.0;
            weights[label] * ((1.0 - smoothing) * (sum - row[label]) + smoothing * smooth)
        });
        losses.sum::<f64>() / 3.0
    }

    fn close(loss: &Tensor, expected: f64) {
        assert!((loss.double_value(&[]) - expected).abs() < 1e-6, "{loss:?} {expected}");
    }

    #[test]
    fn weights_and_offsets_are_those_worked_by_hand() {
        let labels = Tensor::from_slice(&[2_i64, 1, 0]);
        let one = Tensor::ones([], (Kind::Float, Device::Cpu));
        let loss = OneClass::new(0.1);
        close(&loss.of(&logits(), &labels, &one), expected([0.0; 3], [1.0; 3], 0.1, [2, 1, 0]));
        let (weights, offsets) = ([0.5, 1.0, 4.0], [-0.2, -1.5, -3.0]);
        let balance = ClassBalance {
            loss_weights: Some(weights.to_vec()),
            logit_offsets: Some(offsets.to_vec()),
        };
        let loss = loss.favouring(&balance, Device::Cpu);
        let own = expected(offsets, weights, 0.1, [2, 1, 0]);
        close(&loss.of(&logits(), &labels, &one), own);
        let partners = Tensor::from_slice(&[0_i64, 0, 1]);
        let share = Tensor::from(0.75_f32);
        let mixed = loss.of(&logits(), &Tensor::stack(&[&labels, &partners], 0), &share);
        close(&mixed, 0.75 * own + 0.25 * expected(offsets, weights, 0.1, [0, 0, 1]));
    }
}
