//! Random numbers from counters: a draw depends on its purpose, and on no earlier draw. So a resumed run needs no
//! state of a generator, and neither batch size nor threads change a draw.
//!
//! Every algorithm between the ChaCha8 stream and a drawn number is written here and in `random/`: those of the crate
//! `rand` may change between its versions, and the numbers of a run must not.

mod distributions;
mod elementary;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub use distributions::{beta, normals, uniform, uniform_in_log};

/// The purpose of a stream; no two purposes share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// The order of an epoch.
    Shuffle = 1,
    /// Crops, flips and cutouts of one image in one epoch.
    Augment = 2,
    /// One synthetic image.
    Synthetic = 3,
    /// The window of one image's resized crop in one epoch.
    ResizedCrop = 4,
    /// The operations of a policy on one image in one epoch.
    Policy = 5,
    /// The colours of one image in one epoch.
    Jitter = 6,
    /// The erased rectangle of one image in one epoch.
    Erasing = 7,
    /// The mixing of one batch; the index is the number of the batch in its epoch.
    Mix = 8,
    /// The seed of one step's dropout.
    Dropout = 9,
    /// The order of the files in one epoch at index 0, and of the images in each file from index 1.
    ShuffleFiles = 10,
    /// The order of the images of one class where classes are balanced; the epoch is the class, the index the round.
    ClassRow = 11,
    /// One synthetic image of several shapes.
    SyntheticScene = 12,
}

/// The counter of one image in one epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    pub(crate) index: u64,
}

impl Counter {
    /// The stream for `purpose`.
    pub(crate) fn stream(self, purpose: Purpose) -> ChaCha8Rng {
        stream(self.seed, purpose, self.epoch, self.index)
    }
}

/// The random stream of a counter: ChaCha8 with the 32-byte key `seed`, `purpose`, `epoch`, 0 (little-endian 64-bit
/// numbers) and the stream id (nonce) `index`.
#[must_use]
pub fn stream(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    let (words, _) = key.as_chunks_mut::<8>();
    words[0] = seed.to_le_bytes();
    words[1] = (purpose as u64).to_le_bytes();
    words[2] = epoch.to_le_bytes();
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(index);
    rng
}

/// A uniform draw from `0..bound`, without bias (Lemire 2019); 0 when `bound` is 0.
pub fn below(rng: &mut ChaCha8Rng, bound: u64) -> u64 {
    let mut draw = || u128::from(rng.next_u64()) * u128::from(bound);
    let mut product = draw();
    if (product as u64) < bound {
        let threshold = bound.wrapping_neg() % bound;
        while (product as u64) < threshold {
            product = draw();
        }
    }
    (product >> 64) as u64
}

/// A uniform draw from `[0, 1)`, in steps of 2⁻⁵³.
pub fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The numbers `0..count`, shuffled for epoch `epoch`.
#[must_use]
pub fn permutation(count: u32, seed: u64, epoch: u64) -> Vec<u32> {
    let mut rng = stream(seed, Purpose::Shuffle, epoch, 0);
    let mut order: Vec<u32> = (0..count).collect();
    shuffle(&mut rng, &mut order);
    order
}

/// Shuffles `values` (Fisher and Yates, from the back).
pub(crate) fn shuffle<T>(rng: &mut ChaCha8Rng, values: &mut [T]) {
    for last in (1..values.len()).rev() {
        values.swap(last, below(rng, last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by an independent ChaCha8: key and nonce laid out as `stream` says.
    #[test]
    fn streams_are_stable() {
        let mut rng = stream(1, Purpose::Augment, 3, 4);
        assert_eq!(rng.next_u64(), 0x9aad_141b_9f83_6e36);
        assert_eq!(rng.next_u64(), 0xcfbd_c02c_873b_ba3f);
        let fortieth = (2..40).map(|_| rng.next_u64()).last();
        assert_eq!(fortieth, Some(0x64dd_e91d_6abc_f006));
    }

    #[test]
    fn every_part_of_the_counter_matters() {
        let first = |seed, purpose, epoch, index| stream(seed, purpose, epoch, index).next_u64();
        let draws = [
            first(0, Purpose::Shuffle, 0, 0),
            first(1, Purpose::Shuffle, 0, 0),
            first(0, Purpose::Augment, 0, 0),
            first(0, Purpose::Synthetic, 0, 0),
            first(0, Purpose::ResizedCrop, 0, 0),
            first(0, Purpose::Policy, 0, 0),
            first(0, Purpose::Jitter, 0, 0),
            first(0, Purpose::Erasing, 0, 0),
            first(0, Purpose::Mix, 0, 0),
            first(0, Purpose::ShuffleFiles, 0, 0),
            first(0, Purpose::ClassRow, 0, 0),
            first(0, Purpose::Shuffle, 1, 0),
            first(0, Purpose::Shuffle, 0, 1),
            first(1 << 63, Purpose::Shuffle, 0, 0),
            first(0, Purpose::Shuffle, 1 << 63, 0),
            first(0, Purpose::Shuffle, 0, 1 << 63),
        ];
        for (i, draw) in draws.iter().enumerate() {
            assert!(!draws[..i].contains(draw), "draw {i} repeats an earlier one");
        }
    }

    #[test]
    fn bounded_draws_are_uniform_and_reach_both_ends() {
        let mut rng = stream(0, Purpose::Augment, 0, 0);
        for bound in [1, 2, 3, 9, 10] {
            let mut counts = vec![0_u64; bound as usize];
            for _ in 0..bound * 1000 {
                counts[below(&mut rng, bound) as usize] += 1;
            }
            // 1000 expected in each; 130 is four standard deviations.
            assert!(counts.iter().all(|count| count.abs_diff(1000) < 130), "{bound}: {counts:?}");
        }
        assert_eq!(below(&mut rng, 0), 0);
    }

    #[test]
    fn large_bounds_are_not_biased() {
        // Three quarters of 2⁶⁴: without rejection every third value is drawn twice as often as
        // the two after it.
        let mut rng = stream(0, Purpose::Augment, 0, 0);
        let thirds = (0..3000).filter(|_| below(&mut rng, 3 << 62).is_multiple_of(3)).count();
        assert!(thirds.abs_diff(1000) < 130, "{thirds} of 3000");
    }

    #[test]
    fn unit_draws_fill_the_interval() {
        let mut rng = stream(0, Purpose::Augment, 0, 0);
        let draws: Vec<f64> = (0..10_000).map(|_| unit(&mut rng)).collect();
        assert!(draws.iter().all(|draw| (0. ..1.).contains(draw)));
        assert!(draws.iter().any(|&draw| draw < 0.001) && draws.iter().any(|&draw| draw > 0.999));
        let mean = draws.iter().sum::<f64>() / 10_000.;
        assert!((mean - 0.5).abs() < 0.015, "{mean}");
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        for count in [0, 1, 2, 10, 1000] {
            let mut order = permutation(count, 7, 0);
            order.sort_unstable();
            assert_eq!(order, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_order_is_drawn_equally_often() {
        let mut counts = std::collections::BTreeMap::<Vec<u32>, u32>::new();
        for epoch in 0..6000 {
            *counts.entry(permutation(3, 0, epoch)).or_default() += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| count.abs_diff(1000) < 130), "{counts:?}");
    }

    #[test]
    fn a_permutation_is_stable_and_changes_with_epoch_and_seed() {
        assert_eq!(permutation(10, 0, 0), [0, 3, 7, 6, 5, 1, 4, 8, 9, 2]);
        assert_ne!(permutation(10, 0, 0), permutation(10, 0, 1));
        assert_ne!(permutation(10, 0, 0), permutation(10, 1, 0));
    }
}
