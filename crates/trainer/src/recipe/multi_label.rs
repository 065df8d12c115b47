//! The table `[multi_label]`: the loss of images that have any number of classes.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// The loss of images that have any number of classes. Each class is a question of its own: is it there?
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiLabelRecipe {
    /// The form of the loss.
    pub loss: MultiLabelLoss,
    /// The factor of the loss where a class is there.
    pub positive_weights: PositiveWeights,
}

/// The loss of one question, of the probability p that a class is there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MultiLabelLoss {
    /// `-ln p` where it is there, else `-ln (1 - p)`. PyTorch: `BCEWithLogitsLoss`.
    BinaryCrossEntropy,
    /// The same times `(1 - p)^γ`, or else `p^γ`, for this γ: easy answers count less (Lin et al. 2017).
    Focal(f64),
    /// Another γ for each, and probabilities below a margin are no fault at all (Ridnik et al. 2021).
    #[serde(rename_all = "snake_case")]
    Asymmetric {
        /// γ where the class is there.
        gamma_positive: f64,
        /// γ where it is not.
        gamma_negative: f64,
        /// The margin, 0 to 1.
        margin: f64,
    },
}

/// The factor of the loss where a class is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PositiveWeights {
    /// 1.
    None,
    /// The images without the class by those with it, at most 100.
    Balanced,
}

/// The largest factor.
const LARGEST: f64 = 100.0;

impl MultiLabelRecipe {
    /// The table for a recipe that has none.
    pub(crate) const USUAL: Self =
        Self { loss: MultiLabelLoss::BinaryCrossEntropy, positive_weights: PositiveWeights::None };

    /// Refuses numbers that are out of range.
    pub(super) fn check(self) -> Result<(), InvalidValue> {
        let gamma = |key: &str, gamma: f64| {
            let fits = (0.0..=10.0).contains(&gamma);
            InvalidValue::unless(fits, format!("multi_label.loss.{key}"), "0 to 10", gamma)
        };
        match self.loss {
            MultiLabelLoss::BinaryCrossEntropy => Ok(()),
            MultiLabelLoss::Focal(own) => gamma("focal", own),
            MultiLabelLoss::Asymmetric { gamma_positive, gamma_negative, margin } => {
                gamma("asymmetric.gamma_positive", gamma_positive)?;
                gamma("asymmetric.gamma_negative", gamma_negative)?;
                let (key, fits) =
                    ("multi_label.loss.asymmetric.margin", (0.0..1.0).contains(&margin));
                InvalidValue::unless(fits, key, "at least 0 and below 1", margin)
            }
        }
    }
}

impl PositiveWeights {
    /// The factors, of a set of `images`, of which `with` have each class.
    pub(super) fn of(self, images: u64, with: &[u64]) -> Option<Vec<f64>> {
        match self {
            PositiveWeights::None => None,
            PositiveWeights::Balanced => {
                let factor =
                    |&with: &u64| ((images - with) as f64 / with.max(1) as f64).min(LARGEST);
                Some(with.iter().map(factor).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_classes_weigh_more() {
        let own = PositiveWeights::Balanced.of(1000, &[500, 100, 1, 0]).unwrap();
        assert_eq!(own, [1.0, 9.0, 100.0, 100.0]);
        assert_eq!(PositiveWeights::None.of(10, &[1]), None);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let refused = |loss| {
            MultiLabelRecipe { loss, ..MultiLabelRecipe::USUAL }.check().unwrap_err().to_string()
        };
        assert!(refused(MultiLabelLoss::Focal(-1.0)).contains("focal must be 0 to 10"));
        let asymmetric =
            MultiLabelLoss::Asymmetric { gamma_positive: 0.0, gamma_negative: 4.0, margin: 1.0 };
        assert!(refused(asymmetric).contains("margin must be at least 0 and below 1"));
    }
}
