//! The mistakes a network is surest of: where labels are wrong, classes overlap, or it looks at the wrong thing.

use serde::{Deserialize, Serialize};

/// How many are kept.
pub(crate) const KEPT: usize = 32;

/// An image that was taken for something else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mistake {
    /// Its place in the test set, from 0.
    pub(crate) index: u32,
    /// Its class.
    pub(crate) label: usize,
    /// What it was taken for.
    pub(crate) predicted: usize,
    /// The probability of that.
    pub(crate) probability: f64,
}

/// The [`KEPT`] most confident of `mistakes`, surest first; of equals the one that comes first in the set.
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
