//! Medians, spreads and ratios of a handful of rounds.

/// The middle and the ends of some timings, in milliseconds a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The fastest.
    pub min: f64,
    /// The slowest.
    pub max: f64,
}

impl Spread {
    /// Of at least one timing.
    pub fn of(timings: &[f64]) -> Option<Self> {
        let mut sorted = timings.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => (sorted.get(middle.checked_sub(1)?)? + sorted[middle]) / 2.0,
            _ => sorted[middle],
        };
        Some(Self { median, min: sorted[0], max: sorted[sorted.len() - 1] })
    }

    /// Images a second at the median.
    pub fn images_per_second(&self, batch_size: u32) -> f64 {
        f64::from(batch_size) * 1e3 / self.median
    }

    /// The speed relative to `other`, by the medians: 2 is twice as fast.
    pub fn speed_over(&self, other: &Spread) -> f64 {
        other.median / self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_worked_by_hand() {
        for (timings, expected) in [
            (&[][..], None),
            (&[4.0], Some((4.0, 4.0, 4.0))),
            (&[9.0, 1.0], Some((5.0, 1.0, 9.0))),
            (&[9.0, 1.0, 2.0], Some((2.0, 1.0, 9.0))),
            (&[8.0, 1.0, 4.0, 2.0], Some((3.0, 1.0, 8.0))),
        ] {
            let spread = Spread::of(timings).map(|spread| (spread.median, spread.min, spread.max));
            assert_eq!(spread, expected, "{timings:?}");
        }
    }

    #[test]
    fn speeds_worked_by_hand() {
        let (fast, slow) = (Spread::of(&[200.0]).unwrap(), Spread::of(&[500.0]).unwrap());
        assert_eq!(fast.images_per_second(16), 80.0);
        assert_eq!((fast.speed_over(&slow), slow.speed_over(&fast)), (2.5, 0.4));
    }
}
