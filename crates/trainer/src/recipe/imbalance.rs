//! The table `[imbalance]`: training on classes of which some have far fewer images than others.
//!
//! Each key is a way of its own. Loss weights and logit adjustment follow the images as they are sampled, so that a class is
//! not favoured twice: with equal sampling, neither changes anything.

use datasets::{ClassShare, Order};
use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// Favours for classes with few images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImbalanceRecipe {
    /// The factor of each class's loss.
    pub loss_weights: LossWeights,
    /// The part of each class in an epoch.
    pub sampling: Sampling,
    /// The factor of the logarithms of the classes' parts, which are added to the logits in training only (Menon et al. 2021,
    /// equation 10); 0 for none, 1 as in that paper.
    pub logit_adjustment: f64,
}

/// The factor of each class's loss. The mean over the images of an epoch is 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossWeights {
    /// One for all.
    None,
    /// In inverse proportion to the number of images. scikit-learn: `class_weight="balanced"`.
    InverseFrequency,
    /// In inverse proportion to the effective number of images `(1 − βⁿ) / (1 − β)` for this β (Cui et al. 2019).
    EffectiveNumber(f64),
}

/// The part of each class in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Every image once.
    Natural,
    /// By the square root of the number of its images.
    SquareRoot,
    /// The same for every class.
    Equal,
}

/// The favours of a step for some classes. `None` for nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ClassBalance {
    /// The factor of each class's loss.
    pub(crate) loss_weights: Option<Vec<f64>>,
    /// The number that is added to each class's logit in the loss.
    pub(crate) logit_offsets: Option<Vec<f64>>,
}

impl ImbalanceRecipe {
    /// The table for a recipe that has none.
    pub(super) const NOTHING: Self = Self {
        loss_weights: LossWeights::None,
        sampling: Sampling::Natural,
        logit_adjustment: 0.0,
    };

    /// Refuses numbers that are out of range, and an order of images that has none for classes.
    pub(super) fn check(self, order: Order) -> Result<(), InvalidValue> {
        if let LossWeights::EffectiveNumber(beta) = self.loss_weights {
            let (key, accepted) = (
                "imbalance.loss_weights.effective-number",
                "at least 0 and below 1, such as 0.999",
            );
            InvalidValue::unless((0.0..1.0).contains(&beta), key, accepted, beta)?;
        }
        let tau = self.logit_adjustment;
        let fits = (0.0..=10.0).contains(&tau);
        InvalidValue::unless(fits, "imbalance.logit_adjustment", "0 to 10", tau)?;
        InvalidValue::unless(
            self.sampling == Sampling::Natural || order != Order::ShuffledByFile,
            "imbalance.sampling",
            "\"natural\" beside input.shuffle = \"by-file\", which reads whole archives in turn",
            match self.sampling {
                Sampling::Equal => "\"equal\"",
                _ => "\"square-root\"",
            },
        )
    }

    /// The order of the training images, where classes are sampled.
    pub(super) fn order(self) -> Option<Order> {
        self.sampling.share().map(Order::Balanced)
    }

    /// The favours of a step, for a set with `images` of each class.
    pub(super) fn balance(self, images: &[u64]) -> ClassBalance {
        let sampled = match self.sampling.share() {
            Some(share) => share.images(images),
            None => images.to_vec(),
        };
        let adjusts = self.logit_adjustment > 0.0;
        ClassBalance {
            loss_weights: self.loss_weights.of(&sampled),
            logit_offsets: adjusts.then(|| offsets(&sampled, self.logit_adjustment)),
        }
    }
}

impl Sampling {
    fn share(self) -> Option<ClassShare> {
        match self {
            Sampling::Natural => None,
            Sampling::SquareRoot => Some(ClassShare::SquareRoot),
            Sampling::Equal => Some(ClassShare::Equal),
        }
    }
}

impl LossWeights {
    /// The factors; classes without images have 1.
    fn of(self, images: &[u64]) -> Option<Vec<f64>> {
        let effective = |images: f64| match self {
            LossWeights::None => None,
            LossWeights::InverseFrequency => Some(images),
            LossWeights::EffectiveNumber(beta) => Some((1.0 - beta.powf(images)) / (1.0 - beta)),
        };
        let rarity = |&images: &u64| match images {
            0 => Some(0.0),
            _ => effective(images as f64).map(|number| 1.0 / number),
        };
        let rarities: Vec<f64> = images.iter().map(rarity).collect::<Option<_>>()?;
        let all: f64 = images.iter().map(|&images| images as f64).sum();
        let sum: f64 = rarities.iter().zip(images).map(|(rarity, &n)| rarity * n as f64).sum();
        let factor = |(rarity, &images): (f64, &u64)| {
            if images == 0 { 1.0 } else { rarity * all / sum }
        };
        Some(rarities.into_iter().zip(images).map(factor).collect())
    }
}

/// `factor` times the logarithm of each class's part. A class without images counts as if it had one.
fn offsets(images: &[u64], factor: f64) -> Vec<f64> {
    let images: Vec<f64> = images.iter().map(|&images| images.max(1) as f64).collect();
    let all: f64 = images.iter().sum();
    images.into_iter().map(|images| factor * (images / all).ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGES: [u64; 4] = [60, 30, 10, 0];

    fn close(own: &[f64], expected: &[f64]) {
        assert_eq!(own.len(), expected.len());
        for (own, expected) in own.iter().zip(expected) {
            assert!((own - expected).abs() < 1e-9, "{own} {expected}");
        }
    }

    #[test]
    fn weights_are_those_of_scikit_learn_and_of_the_paper() {
        // scikit-learn 1.9: compute_class_weight("balanced") of three classes.
        let balanced = LossWeights::InverseFrequency.of(&IMAGES).unwrap();
        close(&balanced, &[100.0 / 180.0, 100.0 / 90.0, 100.0 / 30.0, 1.0]);
        let effective = LossWeights::EffectiveNumber(0.9).of(&IMAGES).unwrap();
        let number = |images: i32| (1.0 - 0.9_f64.powi(images)) / 0.1;
        let ratio = |a: usize, b: usize| effective[a] / effective[b];
        assert!((ratio(2, 0) - number(60) / number(10)).abs() < 1e-9);
        let mean: f64 = effective.iter().zip(IMAGES).map(|(w, n)| w * n as f64).sum();
        assert!((mean / 100.0 - 1.0).abs() < 1e-9, "the loss keeps its size");
        assert_eq!(LossWeights::None.of(&IMAGES), None);
    }

    #[test]
    fn a_class_is_not_favoured_twice() {
        let recipe = ImbalanceRecipe {
            loss_weights: LossWeights::InverseFrequency,
            sampling: Sampling::Equal,
            logit_adjustment: 1.0,
        };
        let ClassBalance { loss_weights, logit_offsets } = recipe.balance(&[80, 30, 10]);
        close(&loss_weights.unwrap(), &[1.0; 3]);
        close(&logit_offsets.unwrap(), &[(1.0_f64 / 3.0).ln(); 3]);
        let natural = ImbalanceRecipe { sampling: Sampling::Natural, ..recipe };
        let offsets = natural.balance(&[80, 10, 0]).logit_offsets.unwrap();
        close(&offsets, &[(80.0_f64 / 91.0).ln(), (10.0_f64 / 91.0).ln(), (1.0_f64 / 91.0).ln()]);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let refused = |recipe: ImbalanceRecipe, order| recipe.check(order).unwrap_err().to_string();
        let nothing = ImbalanceRecipe::NOTHING;
        let beta = ImbalanceRecipe { loss_weights: LossWeights::EffectiveNumber(1.0), ..nothing };
        assert!(refused(beta, Order::Shuffled).contains("effective-number must be at least 0"));
        let tau = ImbalanceRecipe { logit_adjustment: f64::NAN, ..nothing };
        assert!(refused(tau, Order::Shuffled).contains("must be 0 to 10, got NaN"));
        let equal = ImbalanceRecipe { sampling: Sampling::Equal, ..nothing };
        assert!(refused(equal, Order::ShuffledByFile).contains("got \"equal\""));
        equal.check(Order::Shuffled).unwrap();
    }
}
