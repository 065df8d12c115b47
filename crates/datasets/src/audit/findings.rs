//! The findings of an audit, by class and by kind of fault.

use std::collections::BTreeMap;

use super::All;
use super::groups::Group;
use super::scan::{Record, Scanned, Unreadable};

/// The findings of an audit. Images are numbered through all parts, in the order of the parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// The names of the parts with their numbers of images.
    pub parts: Vec<(&'static str, usize)>,
    /// By label.
    pub classes: Vec<ClassFindings>,
    /// The number of images of each format and colours, such as `JPEG, RGB`.
    pub codings: BTreeMap<String, u64>,
    /// The images that cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// The files that are there more than once.
    pub exact: Vec<Group>,
    /// The images that look alike, of different files.
    pub near: Vec<Group>,
    /// The images of one colour.
    pub blank: Vec<u32>,
    /// The images with a side that is too short.
    pub tiny: Vec<u32>,
}

/// The images of a class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassFindings {
    /// The name of the class.
    pub name: String,
    /// Its number of images in each part. An image of several classes counts for each.
    pub images: Vec<u64>,
    /// The shortest and the longest side among its images, in pixels; 0 without an image that can be read.
    pub sides: [u32; 2],
    /// The medians of their heights and of their widths, in pixels.
    pub median: [u32; 2],
}

impl ClassFindings {
    /// Its number of images in all parts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.images.iter().sum()
    }
}

impl Findings {
    pub(super) fn of(
        all: &All,
        scanned: Scanned,
        exact: Vec<Vec<u32>>,
        near: Vec<Vec<u32>>,
        side: usize,
    ) -> Self {
        let Scanned { records, unreadable, codings } = scanned;
        let group = |images: Vec<u32>| {
            let part = |image: u32| all.place(image as usize).0;
            let labels = |image: u32| {
                let mut labels = Vec::new();
                all.labels(image as usize, &mut labels);
                labels
            };
            let across_parts = images.windows(2).any(|pair| part(pair[0]) != part(pair[1]));
            let across_classes = images.windows(2).any(|pair| labels(pair[0]) != labels(pair[1]));
            Group { images, across_parts, across_classes }
        };
        let which = |is: &dyn Fn(&Record) -> bool| -> Vec<u32> {
            records.iter().filter(|record| is(record)).map(|record| record.index).collect()
        };
        let is_tiny = |record: &Record| (record.size[0].min(record.size[1]) as usize) < side;
        Self {
            parts: all.parts.iter().map(|part| (part.name, part.images.len())).collect(),
            classes: classes(all, &records),
            codings,
            unreadable,
            exact: exact.into_iter().map(group).collect(),
            near: near.into_iter().map(group).collect(),
            blank: which(&|record| record.is_blank),
            tiny: which(&is_tiny),
        }
    }

    /// Number of images in all parts.
    #[must_use]
    pub fn images(&self) -> usize {
        self.parts.iter().map(|part| part.1).sum()
    }

    /// The largest and the smallest of the classes that have images, where there are two at least.
    #[must_use]
    pub fn extremes(&self) -> Option<[&ClassFindings; 2]> {
        let some = || self.classes.iter().filter(|class| class.total() > 0);
        let largest = some().rev().max_by_key(|class| class.total())?;
        let smallest = some().min_by_key(|class| class.total())?;
        (largest.name != smallest.name).then_some([largest, smallest])
    }

    /// The classes without an image in a part that has images, with the names of these parts.
    #[must_use]
    pub fn missing(&self) -> Vec<(&ClassFindings, Vec<&'static str>)> {
        let without = |class: &ClassFindings| -> Vec<&'static str> {
            let parts = self.parts.iter().zip(&class.images);
            let parts = parts.filter(|((_, images), own)| *images > 0 && **own == 0);
            parts.map(|((name, _), _)| *name).collect()
        };
        let classes = self.classes.iter().map(|class| (class, without(class)));
        classes.filter(|(_, parts)| !parts.is_empty()).collect()
    }
}

/// Counts and sizes by label.
fn classes(all: &All, records: &[Record]) -> Vec<ClassFindings> {
    let Some(first) = all.parts.first() else { return Vec::new() };
    let names = first.images.class_names();
    let mut sizes: Vec<[Vec<u32>; 2]> = names.iter().map(|_| [Vec::new(), Vec::new()]).collect();
    let mut labels = Vec::new();
    for record in records {
        all.labels(record.index as usize, &mut labels);
        for &label in &labels {
            let sizes = &mut sizes[label as usize];
            sizes.iter_mut().zip(record.size).for_each(|(sizes, size)| sizes.push(size));
        }
    }
    let mut counts = vec![vec![0; all.parts.len()]; names.len()];
    for (number, part) in all.parts.iter().enumerate() {
        let of_part = part.images.images_by_class();
        counts.iter_mut().zip(of_part).for_each(|(counts, images)| counts[number] = images);
    }
    let class = |((name, images), mut sizes): ((&String, Vec<u64>), [Vec<u32>; 2])| ClassFindings {
        name: name.clone(),
        images,
        sides: [
            sizes.iter().flatten().min().copied().unwrap_or(0),
            sizes.iter().flatten().max().copied().unwrap_or(0),
        ],
        median: [median(&mut sizes[0]), median(&mut sizes[1])],
    };
    names.iter().zip(counts).zip(sizes).map(class).collect()
}

/// The middle of `values`, of two middle ones the smaller; 0 for none.
fn median(values: &mut [u32]) -> u32 {
    if values.is_empty() {
        return 0;
    }
    let middle = (values.len() - 1) / 2;
    *values.select_nth_unstable(middle).1
}
