//! The order in which every place of a batch reads its own part of the files.

use std::ops::Range;

use crate::random::{Purpose, shuffle, stream};

/// The order of epoch `epoch` in batches of `batch_size`; each range of `stretches` lies in one file.
///
/// All files in random order, and the images of each in random order, make one long line. It is cut into as many
/// lanes as a batch has places, whose lengths differ by at most one image. Batch `b` consists of image `b` of every
/// lane.
pub(super) fn order(
    stretches: &[Range<usize>],
    batch_size: usize,
    seed: u64,
    epoch: u64,
) -> Vec<u32> {
    let draw = |index| stream(seed, Purpose::ShuffleFiles, epoch, index);
    let mut files: Vec<usize> = (0..stretches.len()).collect();
    shuffle(&mut draw(0), &mut files);
    let mut line: Vec<u32> = Vec::with_capacity(stretches.iter().map(Range::len).sum());
    for file in files {
        let start = line.len();
        line.extend(stretches[file].clone().map(|index| index as u32));
        shuffle(&mut draw(1 + file as u64), &mut line[start..]);
    }

    let (full, rest) = (line.len() / batch_size, line.len() % batch_size);
    // The last batch takes from lanes at equal distances, so that every rank's share comes from its own lanes.
    let longer: Vec<usize> = (0..rest).map(|place| place * batch_size / rest).collect();
    let mut starts = Vec::with_capacity(batch_size);
    let (mut start, mut passed) = (0, 0);
    for lane in 0..batch_size {
        starts.push(start);
        let is_longer = longer.get(passed) == Some(&lane);
        passed += usize::from(is_longer);
        start += full + usize::from(is_longer);
    }
    let batches = (0..full).flat_map(|batch| starts.iter().map(move |start| start + batch));
    let last = longer.iter().map(|&lane| starts[lane] + full);
    batches.chain(last).map(|place| line[place]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Share;

    /// Files of these many images.
    fn stretches(lengths: &[usize]) -> Vec<Range<usize>> {
        let mut start = 0;
        let stretch = |length: &usize| {
            start += length;
            start - length..start
        };
        lengths.iter().map(stretch).collect()
    }

    #[test]
    fn every_image_occurs_once() {
        for lengths in [&[1][..], &[3, 1, 4, 1, 5, 9, 2, 6], &[64; 10]] {
            let files = stretches(lengths);
            let count: usize = lengths.iter().sum();
            for batch_size in [1, 2, 7, 31, 32, 640, 1000] {
                let mut order = order(&files, batch_size, 1, 2);
                order.sort_unstable();
                assert_eq!(order, (0..count as u32).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn epochs_and_seeds_have_orders_of_their_own() {
        let files = stretches(&[20; 10]);
        let first = order(&files, 8, 1, 0);
        assert_eq!(first, order(&files, 8, 1, 0));
        assert_ne!(first, order(&files, 8, 1, 1));
        assert_ne!(first, order(&files, 8, 2, 0));
        let in_order = first.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((70..130).contains(&in_order), "{in_order} of 199 ascend");
    }

    /// A rank reads its part of the files, and a batch has images of many files.
    #[test]
    fn a_rank_needs_no_more_than_its_part_of_the_files() {
        let lengths: Vec<usize> = (0..64).map(|file| 90 + file % 20).collect();
        let files = stretches(&lengths);
        let count: usize = lengths.iter().sum();
        let file_of = |index: u32| files.partition_point(|stretch| stretch.end <= index as usize);
        let batch_size = 32;
        for epoch in 0..3 {
            let order = order(&files, batch_size, 0, epoch);
            for world_size in [2, 4, 8] {
                for rank in 0..world_size {
                    let share = Share { rank, world_size };
                    let mut read = BTreeSet::new();
                    for start in (0..count).step_by(batch_size) {
                        let batch = start..(start + batch_size).min(count);
                        read.extend(order[share.of(&batch)].iter().map(|&index| file_of(index)));
                    }
                    // Its part, and two that it shares with its neighbours.
                    let part = files.len() / world_size;
                    assert!(read.len() <= part + 6, "{} of {} files", read.len(), files.len());
                }
            }
            for batch in order.chunks(batch_size) {
                let of: BTreeSet<usize> = batch.iter().map(|&index| file_of(index)).collect();
                assert!(of.len() * 3 >= batch.len() * 2, "a batch of {} files", of.len());
            }
        }
    }
}
