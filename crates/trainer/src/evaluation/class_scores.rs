//! Precision, recall and F1 of each class: a mean over all classes hides the one that is never recognised.

use serde::{Deserialize, Serialize};

/// Precision, recall and other scores of one class. A quotient without a denominator is `None`, not zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClassScores {
    /// Part of the images taken for this class that are of it.
    pub(crate) precision: Option<f64>,
    /// Part of this class's images that were recognised.
    pub(crate) recall: Option<f64>,
    /// Harmonic mean of the two; 0 for a class that has images and was never hit.
    pub(crate) f1: Option<f64>,
    /// Images of this class.
    pub(crate) support: u64,
}

impl ClassScores {
    /// One for each class of a square `confusion`, whose rows are the true classes.
    pub(crate) fn of(confusion: &[Vec<u64>]) -> Vec<Self> {
        (0..confusion.len())
            .map(|class| {
                let hits = confusion[class][class];
                let support: u64 = confusion[class].iter().sum();
                let predicted: u64 = confusion.iter().map(|row| row[class]).sum();
                let part = |of: u64, all: u64| (all > 0).then(|| of as f64 / all as f64);
                Self {
                    precision: part(hits, predicted),
                    recall: part(hits, support),
                    f1: part(2 * hits, support + predicted),
                    support,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_worked_by_hand() {
        let scores = ClassScores::of(&[vec![3, 1, 0], vec![2, 4, 0], vec![0, 0, 0]]);
        let expected = |precision, recall, f1, support| ClassScores {
            precision: Some(precision),
            recall: Some(recall),
            f1: Some(f1),
            support,
        };
        assert_eq!(scores[0], expected(0.6, 0.75, 6.0 / 9.0, 4));
        assert_eq!(scores[1], expected(0.8, 4.0 / 6.0, 8.0 / 11.0, 6));
        let nothing = ClassScores { precision: None, recall: None, f1: None, support: 0 };
        assert_eq!(scores[2], nothing, "a class without images has no scores");
    }

    #[test]
    fn a_class_that_nothing_was_taken_for_has_no_precision_and_an_f1_of_zero() {
        let scores = ClassScores::of(&[vec![0, 2], vec![0, 2]]);
        assert_eq!(scores[0].precision, None);
        assert_eq!((scores[0].recall, scores[0].f1), (Some(0.0), Some(0.0)));
    }
}
