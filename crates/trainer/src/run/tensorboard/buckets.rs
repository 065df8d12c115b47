//! Values counted in buckets of equal width, as TensorBoard's own histogram op has them.

/// The number of buckets that TensorBoard draws; it would merge more.
const BUCKETS: usize = 30;

/// A summary of a set of values, without those that are not finite.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Buckets {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) sum_of_squares: f64,
    /// The upper end of each bucket; the first begins at `min`, the last ends at `max`.
    pub(super) limits: Vec<f64>,
    /// Whole numbers, in the type of the format.
    pub(super) counts: Vec<f64>,
}

impl Buckets {
    /// Counts `values`; `None` where none is finite.
    pub(super) fn of(values: &[f32]) -> Option<Self> {
        let finite = || values.iter().map(|value| f64::from(*value)).filter(|v| v.is_finite());
        let (min, max) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| {
            (value.min(min), value.max(max))
        });
        if min > max {
            return None;
        }
        let (mut count, mut sum, mut sum_of_squares) = (0, 0.0, 0.0);
        let mut counts = if min < max { vec![0.0; BUCKETS] } else { vec![0.0] };
        // The last bucket has its upper end, hence the `min` below; one value has one bucket of no width.
        let per_unit = if min < max { counts.len() as f64 / (max - min) } else { 0.0 };
        let last = counts.len() - 1;
        for value in finite() {
            counts[(((value - min) * per_unit) as usize).min(last)] += 1.0;
            count += 1;
            sum += value;
            sum_of_squares += value * value;
        }
        let width = (max - min) / counts.len() as f64;
        let mut limits: Vec<f64> =
            (1..=counts.len()).map(|bucket| min + width * bucket as f64).collect();
        limits[last] = max;
        Some(Self { min, max, count, sum, sum_of_squares, limits, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_one_bucket() {
        let values: Vec<f32> = (0..=60).map(|value| value as f32 / 2.0).collect();
        let buckets = Buckets::of(&values).unwrap();
        assert_eq!((buckets.min, buckets.max, buckets.count), (0.0, 30.0, 61));
        assert_eq!((buckets.sum, buckets.sum_of_squares), (915.0, 18452.5));
        assert_eq!((buckets.limits[0], buckets.limits[29], buckets.limits.len()), (1.0, 30.0, 30));
        // Two in each, and the very last value with those before it.
        assert_eq!(buckets.counts, [vec![2.0; 29], vec![3.0]].concat());
    }

    #[test]
    fn one_value_and_none() {
        let buckets = Buckets::of(&[-1.5; 4]).unwrap();
        assert_eq!((buckets.limits, buckets.counts), (vec![-1.5], vec![4.0]));
        assert_eq!(Buckets::of(&[]), None);
        assert_eq!(Buckets::of(&[f32::NAN, f32::INFINITY]), None);
        let buckets = Buckets::of(&[f32::NAN, 1.0, f32::NEG_INFINITY, 2.0]).unwrap();
        assert_eq!((buckets.min, buckets.max, buckets.count), (1.0, 2.0, 2));
    }

    #[test]
    fn the_widest_range_does_not_overflow() {
        let buckets = Buckets::of(&[f32::MIN, 0.0, f32::MAX]).unwrap();
        assert_eq!(buckets.counts.iter().sum::<f64>(), 3.0);
        assert!(buckets.limits.is_sorted() && buckets.sum_of_squares.is_finite());
        let denormal = Buckets::of(&[0.0, f32::from_bits(1)]).unwrap();
        assert_eq!((denormal.counts[0], denormal.counts[29]), (1.0, 1.0));
    }
}
