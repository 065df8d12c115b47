//! The loss of images with any number of classes: each class is a question of its own.

use tch::{Device, Tensor};

use super::on;
use crate::recipe::MultiLabelLoss;

/// Binary cross-entropy of every class, or a form of it that counts easy answers less.
pub(in crate::learner) struct SeveralClasses {
    form: MultiLabelLoss,
    /// The factor of each class's loss where it is there, fp32 `[classes]`.
    positive_weights: Option<Tensor>,
    label_smoothing: f64,
}

impl SeveralClasses {
    pub(super) fn new(
        form: MultiLabelLoss,
        positive_weights: Option<&[f64]>,
        label_smoothing: f64,
        device: Device,
    ) -> Self {
        let positive_weights = positive_weights.map(|weights| on(weights, device));
        Self { form, positive_weights, label_smoothing }
    }

    /// The mean over images and classes. Labels are mixed before the loss, as the images are.
    pub(super) fn of(&self, logits: &Tensor, labels: &Tensor, own_share: &Tensor) -> Tensor {
        let targets = match labels.dim() {
            3 => labels.get(1).lerp_tensor(&labels.get(0), own_share),
            _ => labels.shallow_clone(),
        };
        // Keras: `BinaryCrossentropy(label_smoothing=…)`, half of it for each answer.
        let targets = match self.label_smoothing {
            0.0 => targets,
            smoothing => targets * (1.0 - smoothing) + smoothing / 2.0,
        };
        let (there, absent) = self.answers(logits);
        let there = match &self.positive_weights {
            Some(weights) => there * weights,
            None => there,
        };
        let loss: Tensor = &targets * there + complement(&targets) * absent;
        loss.mean(logits.kind())
    }

    /// The losses where a class is there, and where it is not, each `[n, classes]`.
    fn answers(&self, logits: &Tensor) -> (Tensor, Tensor) {
        // -ln p and -ln (1 - p) of the logit, without a difference of near numbers.
        let (there, absent) = (-logits.log_sigmoid(), -(-logits).log_sigmoid());
        let p = || logits.sigmoid();
        match self.form {
            MultiLabelLoss::BinaryCrossEntropy => (there, absent),
            MultiLabelLoss::Focal(gamma) => (
                there * complement(&p()).pow_tensor_scalar(gamma),
                absent * p().pow_tensor_scalar(gamma),
            ),
            MultiLabelLoss::Asymmetric { gamma_positive, gamma_negative, margin } => {
                let shifted = (p() - margin).clamp_min(0.0);
                // The margin keeps the logarithm's argument away from 0 but where p is 1, of which fp32 has none beyond 1 - 6e-8.
                let absent = match margin {
                    0.0 => absent,
                    _ => -complement(&shifted).clamp_min(1e-8).log(),
                };
                (
                    there * complement(&p()).pow_tensor_scalar(gamma_positive),
                    absent * shifted.pow_tensor_scalar(gamma_negative),
                )
            }
        }
    }
}

/// 1 less each value.
fn complement(values: &Tensor) -> Tensor {
    1.0 - values
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    const LOGITS: [f32; 6] = [2.0, -1.0, 0.25, -3.0, 0.0, 5.0];
    const TARGETS: [f32; 6] = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0];

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).view([2, 3])
    }

    fn loss(form: MultiLabelLoss, weights: Option<&[f64]>, smoothing: f64) -> f64 {
        let loss = SeveralClasses::new(form, weights, smoothing, Device::Cpu);
        let one = Tensor::ones([], (Kind::Float, Device::Cpu));
        loss.of(&tensor(&LOGITS), &tensor(&TARGETS), &one).double_value(&[])
    }

    /// The mean of a loss that is given p and the target, in double precision.
    fn by_hand(of: impl Fn(f64, f64, usize) -> f64) -> f64 {
        let pairs = LOGITS.iter().zip(TARGETS).enumerate();
        let losses = pairs.map(|(place, (&logit, target))| {
            of(1.0 / (1.0 + (-f64::from(logit)).exp()), f64::from(target), place % 3)
        });
        losses.sum::<f64>() / 6.0
    }

    #[test]
    fn binary_cross_entropy_is_that_of_pytorch() {
        let plain = MultiLabelLoss::BinaryCrossEntropy;
        let expected = tensor(&LOGITS).binary_cross_entropy_with_logits::<Tensor>(
            &tensor(&TARGETS),
            None,
            None,
            tch::Reduction::Mean,
        );
        assert!((loss(plain, None, 0.0) - expected.double_value(&[])).abs() < 1e-6);
        let weights = [2.0, 1.0, 0.5];
        let weighted =
            by_hand(|p, t, class| -weights[class] * t * p.ln() - (1.0 - t) * (1.0 - p).ln());
        assert!((loss(plain, Some(&weights), 0.0) - weighted).abs() < 1e-6);
        let smoothed = by_hand(|p, t, _| {
            let t = t * 0.9 + 0.05;
            -t * p.ln() - (1.0 - t) * (1.0 - p).ln()
        });
        assert!((loss(plain, None, 0.1) - smoothed).abs() < 1e-6);
    }

    #[test]
    fn focal_and_asymmetric_losses_are_those_of_their_papers() {
        let focal = by_hand(|p, t, _| {
            -t * (1.0 - p).powi(2) * p.ln() - (1.0 - t) * p.powi(2) * (1.0 - p).ln()
        });
        assert!((loss(MultiLabelLoss::Focal(2.0), None, 0.0) - focal).abs() < 1e-6);
        assert!(
            (loss(MultiLabelLoss::Focal(0.0), None, 0.0)
                - loss(MultiLabelLoss::BinaryCrossEntropy, None, 0.0))
            .abs()
                < 1e-6
        );
        let form =
            MultiLabelLoss::Asymmetric { gamma_positive: 1.0, gamma_negative: 4.0, margin: 0.05 };
        let asymmetric = by_hand(|p, t, _| {
            let shifted = (p - 0.05).max(0.0);
            -t * (1.0 - p) * p.ln() - (1.0 - t) * shifted.powi(4) * (1.0 - shifted).ln()
        });
        assert!((loss(form, None, 0.0) - asymmetric).abs() < 1e-6);
    }

    #[test]
    fn certain_answers_have_finite_gradients() {
        for form in [
            MultiLabelLoss::BinaryCrossEntropy,
            MultiLabelLoss::Focal(2.0),
            MultiLabelLoss::Asymmetric { gamma_positive: 0.0, gamma_negative: 4.0, margin: 0.05 },
        ] {
            let logits = tensor(&[200.0, -200.0, 0.0, 90.0, -90.0, 17.0]).set_requires_grad(true);
            let loss = SeveralClasses::new(form, None, 0.0, Device::Cpu);
            let one = Tensor::ones([], (Kind::Float, Device::Cpu));
            let targets = tensor(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
            loss.of(&logits, &targets, &one).backward();
            assert_eq!(logits.grad().isfinite().all().int64_value(&[]), 1, "{form:?}");
        }
    }

    #[test]
    fn labels_are_mixed_as_images_are() {
        let loss = SeveralClasses::new(MultiLabelLoss::BinaryCrossEntropy, None, 0.0, Device::Cpu);
        let share = Tensor::from(0.75_f32);
        let partners = tensor(&[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        let mixed = loss.of(
            &tensor(&LOGITS),
            &Tensor::stack(&[tensor(&TARGETS), partners.copy()], 0),
            &share,
        );
        let one = Tensor::ones([], (Kind::Float, Device::Cpu));
        let own = loss.of(&tensor(&LOGITS), &tensor(&TARGETS), &one).double_value(&[]);
        let others = loss.of(&tensor(&LOGITS), &partners, &one).double_value(&[]);
        assert!((mixed.double_value(&[]) - 0.75 * own - 0.25 * others).abs() < 1e-6);
    }
}
