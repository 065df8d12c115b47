//! The answer to every image of a set, from which areas under curves follow, and a table for other programs.

use datasets::Source;

use super::ranking::{Ranked, Ranking};
use crate::label_names;

/// The name of the table in a run's folder.
pub(crate) const PREDICTIONS: &str = "predictions.csv";

/// Most probabilities that are kept, 80 MB of them: enough for 20,000 images of 1,000 classes.
const MOST: usize = 20_000_000;

const IN_MEMORY: &str = "writing to memory cannot fail";

/// Most classes whose probabilities all stand in the table; beyond, only the likeliest class has one.
const MOST_COLUMNS: usize = 100;

/// The probabilities of all classes, image by image.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rows {
    classes: usize,
    /// The numbers of the images in the set.
    indices: Vec<u32>,
    /// The classes of each image, in ascending order.
    labels: Vec<Vec<u32>>,
    /// `[images, classes]`.
    probabilities: Vec<f32>,
}

/// The choice whether an evaluation keeps the answer to every image beside its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Figures only.
    Figures,
    /// Every image, unless they are too many for memory.
    Rows,
}

impl Rows {
    /// No row yet, of a set of `images`; `None` where there would be too many.
    pub(super) fn of(keep: Keep, images: usize, classes: usize) -> Option<Self> {
        let kept = keep == Keep::Rows && images.saturating_mul(classes) <= MOST;
        kept.then(|| Self { classes, ..Self::default() })
    }

    /// Adds image `index` of the classes `labels` by its `probabilities`, one for each class.
    pub(super) fn add(&mut self, index: u32, labels: Vec<u32>, probabilities: &[f32]) {
        self.indices.push(index);
        self.labels.push(labels);
        self.probabilities.extend(probabilities);
    }

    /// The number of classes.
    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    /// Images.
    pub(super) fn len(&self) -> usize {
        self.indices.len()
    }

    /// The classes of each image, and the probabilities of all classes.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&[u32], &[f32])> {
        let rows = self.probabilities.chunks(self.classes.max(1));
        self.labels.iter().map(Vec::as_slice).zip(rows)
    }

    /// The rows as bytes, for another rank: of each image its number, the number of its labels, these, and the
    /// probabilities.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, (labels, probabilities)) in self.indices.iter().zip(self.answers()) {
            bytes.extend(index.to_le_bytes());
            bytes.extend((labels.len() as u32).to_le_bytes());
            labels.iter().for_each(|label| bytes.extend(label.to_le_bytes()));
            probabilities.iter().for_each(|part| bytes.extend(part.to_le_bytes()));
        }
        bytes
    }

    /// The rows of all ranks, in the order of the set. An image that two ranks measured stands once.
    pub(super) fn joined(classes: usize, parts: &[Vec<u8>]) -> Self {
        let mut all: Vec<(u32, Vec<u32>, Vec<f32>)> = Vec::new();
        for bytes in parts {
            let (mut words, _) = bytes.as_chunks::<4>();
            while let [index, count, rest @ ..] = words {
                let count = u32::from_le_bytes(*count) as usize;
                let (labels, rest) = rest.split_at(count);
                let (probabilities, rest) = rest.split_at(classes);
                let labels = labels.iter().map(|word| u32::from_le_bytes(*word)).collect();
                let probabilities =
                    probabilities.iter().map(|word| f32::from_le_bytes(*word)).collect();
                all.push((u32::from_le_bytes(*index), labels, probabilities));
                words = rest;
            }
        }
        all.sort_by_key(|(index, ..)| *index);
        all.dedup_by_key(|(index, ..)| *index);
        let mut joined = Self { classes, ..Self::default() };
        for (index, labels, probabilities) in all {
            joined.add(index, labels, &probabilities);
        }
        joined
    }

    /// The ranking of each class against all others.
    pub(crate) fn rankings(&self) -> Vec<Ranking> {
        (0..self.classes).map(|class| self.ranked(class).ranking()).collect()
    }

    /// The images, sorted by the probability of `class`.
    pub(crate) fn ranked(&self, class: usize) -> Ranked {
        let scores = self.probabilities.iter().skip(class).step_by(self.classes.max(1));
        let is_hit = self.labels.iter().map(|own| own.binary_search(&(class as u32)).is_ok());
        Ranked::new(scores.copied().zip(is_hit))
    }

    /// The threshold of each class with the largest F1.
    pub(crate) fn best_thresholds(&self) -> Vec<f64> {
        (0..self.classes).map(|class| self.ranked(class).best_threshold()).collect()
    }

    /// A table with a line for each image: its name, its class, the answer, and the probabilities. With `thresholds`, an image
    /// has any number of classes, and the answer is all that reach theirs; several stand between bars.
    pub(crate) fn to_csv(&self, images: &dyn Source, thresholds: Option<&[f64]>) -> String {
        let names = images.class_names();
        let mut head: Vec<String> =
            ["image", "label", "predicted", "correct", "probability"].map(String::from).into();
        if self.classes <= MOST_COLUMNS {
            head.extend(names.iter().map(|name| format!("p({name})")));
        }
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(&head).expect(IN_MEMORY);
        for (&index, (labels, row)) in self.indices.iter().zip(self.answers()) {
            let best =
                (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
            let answer = match thresholds {
                None => vec![best as u32],
                Some(thresholds) => (0..row.len() as u32)
                    .filter(|&class| f64::from(row[class as usize]) >= thresholds[class as usize])
                    .collect(),
            };
            let mut line = vec![
                images.name(index as usize),
                label_names::joined(names, labels),
                label_names::joined(names, &answer),
                u8::from(answer == labels).to_string(),
                six_digits(row[best]),
            ];
            if self.classes <= MOST_COLUMNS {
                line.extend(row.iter().copied().map(six_digits));
            }
            table.write_record(&line).expect(IN_MEMORY);
        }
        let bytes = table.into_inner().expect(IN_MEMORY);
        String::from_utf8(bytes).expect("made of strings")
    }
}

fn six_digits(probability: f32) -> String {
    format!("{probability:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let mut rows = Rows::of(Keep::Rows, 3, 2).unwrap();
        rows.add(2, vec![1], &[0.25, 0.75]);
        rows.add(0, vec![0, 1], &[0.5, 0.5]);
        rows.add(1, Vec::new(), &[0.875, 0.125]);
        rows
    }

    #[test]
    fn parts_of_ranks_are_joined_in_the_order_of_the_set() {
        let mut other = Rows::of(Keep::Rows, 3, 2).unwrap();
        other.add(3, vec![0], &[0.0, 1.0]);
        other.add(1, Vec::new(), &[0.875, 0.125]);
        let joined = Rows::joined(2, &[rows().to_bytes(), other.to_bytes(), Vec::new()]);
        assert_eq!(joined.indices, [0, 1, 2, 3]);
        assert_eq!(joined.labels, [vec![0, 1], vec![], vec![1], vec![0]]);
        assert_eq!(joined.probabilities, [0.5, 0.5, 0.875, 0.125, 0.25, 0.75, 0.0, 1.0]);
    }

    #[test]
    fn the_table_names_images_and_answers() {
        let names = ["an \"ant\"", "bee"].map(String::from).into();
        let images = datasets::Images::new(vec![0; 9], vec![0, 1, 1], 1, 1, names).unwrap();
        let joined = Rows::joined(2, &[rows().to_bytes()]);
        let table = joined.to_csv(&images, None);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[0],
            "image,label,predicted,correct,probability,\"p(an \"\"ant\"\")\",p(bee)"
        );
        assert_eq!(lines[3], "2,bee,bee,1,0.750000,0.250000,0.750000");
        assert_eq!(lines.len(), 4);
        let several = joined.to_csv(&images, Some(&[0.4, 0.5]));
        let lines: Vec<&str> = several.lines().collect();
        assert_eq!(
            lines[1],
            "0,\"an \"\"ant\"\"|bee\",\"an \"\"ant\"\"|bee\",1,0.500000,0.500000,0.500000"
        );
        assert_eq!(lines[2], "1,,\"an \"\"ant\"\"\",0,0.875000,0.875000,0.125000");
    }

    #[test]
    fn too_many_rows_are_not_kept() {
        assert_eq!(Rows::of(Keep::Rows, 1_300_000, 1000), None);
        assert_eq!(Rows::of(Keep::Figures, 3, 2), None);
    }
}
