//! The most confident mistakes of a network: they show wrong labels, classes that overlap, and misleading features.

use serde::{Deserialize, Serialize};

/// The number of mistakes that are kept.
pub(crate) const KEPT: usize = 32;

/// An image that was classified wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mistake {
    /// Its index in the test set, from 0.
    pub(crate) index: u32,
    /// Its true class.
    pub(crate) label: usize,
    /// The predicted class.
    pub(crate) predicted: usize,
    /// The probability of the predicted class.
    pub(crate) probability: f64,
}

/// The [`KEPT`] most confident of `mistakes`, sorted by falling probability; equal ones in the order of the set.
pub(crate) fn most_confident(mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    mistakes.retain(|mistake| mistake.probability.is_finite());
    mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.index.cmp(&b.index)));
    mistakes.truncate(KEPT);
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_come_first_and_the_rest_is_left_out() {
        let mistake = |index: u32| Mistake {
            index,
            label: 0,
            predicted: 1,
            probability: if index == 7 { f64::NAN } else { f64::from(index / 2) / 100.0 },
        };
        let kept = most_confident((0..100).map(mistake).collect());
        assert_eq!(kept.len(), KEPT);
        let first: Vec<u32> = kept.iter().take(4).map(|mistake| mistake.index).collect();
        assert_eq!(first, [98, 99, 96, 97]);
        assert!(most_confident(vec![mistake(7)]).is_empty(), "no probability, no rank");
    }
}
