//! Orders in which rare classes come as often as common ones: their images are repeated, those of common classes skipped.
//!
//! An epoch has as many images as the set. Each class has the same number of places in every epoch, and fills them from one
//! endless row of permutations of its images, so that over the epochs all its images are used equally often.

use crate::random::{Purpose, permutation, shuffle, stream};

/// The part that each class has of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassShare {
    /// The same for every class that has images.
    Equal,
    /// In proportion to the square root of its number of images: half-way between equal and natural.
    SquareRoot,
}

impl ClassShare {
    /// The images of each class in an epoch, of a set with `counts` of them. They add up to those of the set.
    #[must_use]
    pub fn images(self, counts: &[u64]) -> Vec<u64> {
        let all = counts.iter().sum::<u64>() as usize;
        let counts: Vec<usize> = counts.iter().map(|&images| images as usize).collect();
        places(&counts, self, all).into_iter().map(|images| images as u64).collect()
    }

    fn weight(self, images: usize) -> f64 {
        match self {
            ClassShare::Equal if images > 0 => 1.0,
            ClassShare::Equal => 0.0,
            ClassShare::SquareRoot => (images as f64).sqrt(),
        }
    }
}

/// The numbers of the images of an epoch, and how often each came before in it.
pub(super) fn order(labels: &[u32], share: ClassShare, seed: u64, epoch: u64) -> Vec<(u32, u32)> {
    let members = members(labels);
    let counts: Vec<usize> = members.iter().map(Vec::len).collect();
    let places = places(&counts, share, labels.len());
    let mut chosen = Vec::with_capacity(labels.len());
    for (class, (members, places)) in members.iter().zip(places).enumerate() {
        fill(&mut chosen, members, places as u64, class as u64, seed, epoch);
    }
    let order = permutation(chosen.len() as u32, seed, epoch);
    let mut times = vec![0; labels.len()];
    let numbered = order.into_iter().map(|place| {
        let index = chosen[place as usize];
        let time = times[index as usize];
        times[index as usize] += 1;
        (index, time)
    });
    numbered.collect()
}

/// The images of each class.
fn members(labels: &[u32]) -> Vec<Vec<u32>> {
    let classes = labels.iter().max().map_or(0, |last| *last as usize + 1);
    let mut members = vec![Vec::new(); classes];
    for (index, &label) in (0..).zip(labels) {
        members[label as usize].push(index);
    }
    members
}

/// The number of places of each class, which add up to `all`: parts that are cut off go to the largest remainders, of equal
/// ones to the first class.
fn places(counts: &[usize], share: ClassShare, all: usize) -> Vec<usize> {
    let weights: Vec<f64> = counts.iter().map(|&images| share.weight(images)).collect();
    let sum: f64 = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let exact: Vec<f64> = weights.iter().map(|weight| all as f64 * weight / sum).collect();
    let mut places: Vec<usize> = exact.iter().map(|exact| exact.floor() as usize).collect();
    let mut by_remainder: Vec<usize> =
        (0..counts.len()).filter(|class| counts[*class] > 0).collect();
    by_remainder.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
    let missing = all - places.iter().sum::<usize>();
    by_remainder.into_iter().take(missing).for_each(|class| places[class] += 1);
    places
}

/// Adds the next `places` images of a class in its row of permutations.
fn fill(chosen: &mut Vec<u32>, members: &[u32], places: u64, class: u64, seed: u64, epoch: u64) {
    let count = members.len() as u64;
    let mut next = epoch * places;
    let end = next + places;
    while next < end {
        let (round, from) = (next / count, next % count);
        let mut shuffled = members.to_vec();
        shuffle(&mut stream(seed, Purpose::ClassRow, class, round), &mut shuffled);
        let taken = (count - from).min(end - next);
        chosen.extend(&shuffled[from as usize..(from + taken) as usize]);
        next += taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 8 images of class 0, 3 of class 1, none of class 2, 1 of class 3.
    const LABELS: [u32; 12] = [0, 1, 0, 0, 1, 0, 3, 0, 0, 1, 0, 0];

    fn classes(order: &[(u32, u32)]) -> [usize; 4] {
        [0, 1, 2, 3].map(|class| order.iter().filter(|(i, _)| LABELS[*i as usize] == class).count())
    }

    #[test]
    fn classes_come_equally_often_or_by_the_root() {
        assert_eq!(classes(&order(&LABELS, ClassShare::Equal, 0, 0)), [4, 4, 0, 4]);
        // The roots 2.83, 1.73 and 1 of 5.56 parts of 12: 6.10, 3.74, 2.16.
        assert_eq!(classes(&order(&LABELS, ClassShare::SquareRoot, 0, 0)), [6, 4, 0, 2]);
    }

    #[test]
    fn all_images_of_a_class_are_used_equally_often_over_the_epochs() {
        let mut times = [0; 12];
        for epoch in 0..6 {
            for (index, _) in order(&LABELS, ClassShare::Equal, 5, epoch) {
                times[index as usize] += 1;
            }
        }
        let of = |class: u32| LABELS.iter().zip(times).filter(move |(label, _)| **label == class);
        assert!(of(0).all(|(_, times)| times == 3), "{times:?}");
        assert!(of(1).all(|(_, times)| times == 8), "{times:?}");
        assert!(of(3).all(|(_, times)| times == 24), "{times:?}");
    }

    #[test]
    fn repetitions_are_numbered_and_orders_differ() {
        let first = order(&LABELS, ClassShare::Equal, 5, 0);
        let repeated = first.iter().filter(|(index, _)| *index == 6).map(|(_, time)| *time);
        assert_eq!(repeated.collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(first, order(&LABELS, ClassShare::Equal, 5, 0));
        assert_ne!(first, order(&LABELS, ClassShare::Equal, 5, 1));
        assert_ne!(first, order(&LABELS, ClassShare::Equal, 6, 0));
    }

    #[test]
    fn an_epoch_is_as_long_as_the_set() {
        for count in [1, 2, 7, 100] {
            let labels: Vec<u32> = (0..count).map(|n| u32::from(n % 5 == 0) * 3 + n % 2).collect();
            for share in [ClassShare::Equal, ClassShare::SquareRoot] {
                assert_eq!(order(&labels, share, 1, 3).len(), labels.len());
            }
        }
        assert!(order(&[], ClassShare::Equal, 0, 0).is_empty());
    }
}
