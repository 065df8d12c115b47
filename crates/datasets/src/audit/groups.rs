//! Images that are there more than once: by their bytes, and by their looks.

use std::collections::HashMap;

use super::likeness::Likeness;
use super::scan::Record;
use super::thumbnail::Thumbnail;

/// Images that are the same, or look the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their numbers through all parts, in order; two at least.
    pub images: Vec<u32>,
    /// Whether they are in more than one part of the set.
    pub across_parts: bool,
    /// Whether they are of more than one class.
    pub across_classes: bool,
}

/// The images of each file that is there more than once, in the order of their first images.
pub(super) fn exact(records: &[Record]) -> Vec<Vec<u32>> {
    let mut order: Vec<&Record> = records.iter().collect();
    order.sort_unstable_by_key(|record| (record.digest, record.index));
    let groups = order.chunk_by(|one, other| one.digest == other.digest);
    let groups = groups.filter(|group| group.len() > 1);
    let mut groups: Vec<Vec<u32>> =
        groups.map(|group| group.iter().map(|record| record.index).collect()).collect();
    groups.sort_unstable();
    groups
}

/// The images that look alike, of two different files at least, in the order of their first images. Two images are alike
/// where at most `distance` bits differ and their thumbnails confirm it, and so are those that another one connects.
///
/// Of two hashes that differ in `distance` bits, at least one of `distance + 1` pieces is equal. So only images with an
/// equal piece are compared.
pub(super) fn near(records: &[Record], distance: u32) -> Vec<Vec<u32>> {
    let mut members: HashMap<(Likeness, u128), Vec<&Record>> = HashMap::new();
    for record in records {
        if let Some(likeness) = record.likeness {
            members.entry((likeness, record.digest)).or_default().push(record);
        }
    }
    let mut keys: Vec<(Likeness, u128)> = members.keys().copied().collect();
    keys.sort_unstable();
    let mut sets = Sets::new(keys.len());
    let thumbnails: Vec<&Thumbnail> = keys.iter().map(|key| &members[key][0].thumbnail).collect();
    let is_copy =
        |one: u32, other: u32| thumbnails[one as usize].is_copy(thumbnails[other as usize]);
    // Equal looks first: they are neighbours, and one of them stands for all that are its copies.
    let mut stands: Vec<u32> = Vec::new();
    for place in 0..keys.len() {
        match stands.last() {
            Some(&last)
                if keys[last as usize].0 == keys[place].0 && is_copy(last, place as u32) =>
            {
                sets.join(last, place as u32);
            }
            _ => stands.push(place as u32),
        }
    }
    let pieces = (distance + 1).min(64);
    for piece in 0..pieces {
        let (start, end) = (64 * piece / pieces, 64 * (piece + 1) / pieces);
        let mask = (u64::MAX >> (64 - (end - start))) << start;
        let of = |place: u32| keys[place as usize].0.across & mask;
        stands.sort_unstable_by_key(|&place| (of(place), place));
        for bucket in stands.chunk_by(|&one, &other| of(one) == of(other)) {
            for (number, &one) in bucket.iter().enumerate() {
                for &other in &bucket[number + 1..] {
                    if keys[one as usize].0.is_near(&keys[other as usize].0, distance)
                        && is_copy(one, other)
                    {
                        sets.join(one, other);
                    }
                }
            }
        }
    }
    let mut groups: HashMap<u32, Vec<u32>> = HashMap::new();
    for place in 0..keys.len() as u32 {
        groups.entry(sets.root(place)).or_default().push(place);
    }
    let groups = groups.into_values().filter(|places| places.len() > 1);
    let images = |places: Vec<u32>| {
        let mut images: Vec<u32> = places
            .iter()
            .flat_map(|&place| &members[&keys[place as usize]])
            .map(|record| record.index)
            .collect();
        images.sort_unstable();
        images
    };
    let mut groups: Vec<Vec<u32>> = groups.map(images).collect();
    groups.sort_unstable();
    groups
}

/// Disjoint sets that can be joined.
struct Sets(Vec<u32>);

impl Sets {
    fn new(count: usize) -> Self {
        Self((0..count as u32).collect())
    }

    fn root(&mut self, mut place: u32) -> u32 {
        while self.0[place as usize] != place {
            let above = self.0[self.0[place as usize] as usize];
            self.0[place as usize] = above;
            place = above;
        }
        place
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        self.0[one.max(other) as usize] = one.min(other);
    }
}
