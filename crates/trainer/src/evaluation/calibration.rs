//! Calibration: whether a network that predicts with 90 % confidence is correct in 90 % of the cases (Guo et al. 2017,
//! section 2).

use serde::{Deserialize, Serialize};

/// The number of bins, of equal width: 15 as in the paper, because the error depends on it.
const BINS: usize = 15;

/// The images whose confidence fell into one interval `((m − 1) / 15, m / 15]`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Bin {
    /// Images in the bin.
    pub(crate) count: u64,
    /// Mean probability of the predicted class; `None` for an empty bin.
    pub(crate) confidence: Option<f64>,
    /// Part of them that was classified correctly; `None` for an empty bin.
    pub(crate) accuracy: Option<f64>,
}

/// Sums over predictions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calibration {
    sums: [(u64, f64, u64); BINS],
}

impl Calibration {
    /// Adds a prediction with `confidence`. A confidence of NaN is not counted, since it is in no bin.
    pub(crate) fn add(&mut self, confidence: f64, right: bool) {
        if confidence.is_nan() {
            return;
        }
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let (count, sum, hits) = &mut self.sums[bin];
        *count += 1;
        *sum += confidence;
        *hits += u64::from(right);
    }

    /// For each bin the number of images, the sum of their confidence and the number of correct ones, to be summed over
    /// ranks.
    pub(crate) fn sums(&self) -> [[f64; 3]; BINS] {
        self.sums.map(|(count, sum, hits)| [count as f64, sum, hits as f64])
    }

    /// The calibration that [`Calibration::sums`] was called on, from its sums one after the other.
    pub(crate) fn from_sums(sums: &[f64]) -> Self {
        let mut own = Self::default();
        for (bin, sums) in own.sums.iter_mut().zip(sums.chunks(3)) {
            *bin = (sums[0] as u64, sums[1], sums[2] as u64);
        }
        own
    }

    /// The bins, least confident first.
    pub(crate) fn bins(&self) -> Vec<Bin> {
        let bin = |&(count, sum, hits): &(u64, f64, u64)| match count {
            0 => Bin::default(),
            _ => Bin {
                count,
                confidence: Some(sum / count as f64),
                accuracy: Some(hits as f64 / count as f64),
            },
        };
        self.sums.iter().map(bin).collect()
    }

    /// Expected calibration error: the gap between confidence and accuracy, averaged over images.
    pub(crate) fn expected_error(&self) -> f64 {
        let all: u64 = self.sums.iter().map(|(count, ..)| count).sum();
        let gaps: f64 = self.sums.iter().map(|(_, sum, hits)| (sum - *hits as f64).abs()).sum();
        if all == 0 { 0.0 } else { gaps / all as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_that_of_the_paper() {
        let mut calibration = Calibration::default();
        // Two at 0.95, one right: a gap of 0.45. Two at 0.5, both right: a gap of 0.5.
        for (confidence, right) in [(0.95, true), (0.95, false), (0.5, true), (0.5, true)] {
            calibration.add(confidence, right);
        }
        assert!((calibration.expected_error() - (0.5 * 0.45 + 0.5 * 0.5)).abs() < 1e-12);
        let bins = calibration.bins();
        assert_eq!(bins.len(), BINS);
        assert_eq!(bins[7], Bin { count: 2, confidence: Some(0.5), accuracy: Some(1.0) });
        assert_eq!((bins[14].count, bins[14].accuracy), (2, Some(0.5)));
        assert_eq!(bins[0], Bin::default());
    }

    #[test]
    fn a_bin_holds_its_upper_edge_and_not_its_lower_one() {
        let mut calibration = Calibration::default();
        for confidence in [0.0, 1.0 / 15.0, 1.0 / 15.0 + 1e-9, 1.0, 1.0 + 1e-12] {
            calibration.add(confidence, true);
        }
        let counts: Vec<u64> = calibration.bins().iter().map(|bin| bin.count).collect();
        assert_eq!((counts[0], counts[1], counts[14]), (2, 1, 2));
    }

    #[test]
    fn nothing_has_no_error_and_a_nan_no_bin() {
        let mut calibration = Calibration::default();
        calibration.add(f64::NAN, true);
        assert_eq!(calibration.expected_error(), 0.0);
        assert!(calibration.bins().iter().all(|bin| bin.count == 0));
    }
}
