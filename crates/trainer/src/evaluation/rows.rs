//! The answer to every image of a set, from which areas under curves follow, and a table for other programs.

use datasets::Source;

use super::ranking::{Ranked, Ranking};

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
    labels: Vec<u32>,
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

    /// Adds images by their `probabilities`, `[images, classes]`.
    pub(super) fn add(&mut self, indices: &[u32], labels: &[i64], probabilities: &[f32]) {
        self.indices.extend(indices);
        self.labels.extend(labels.iter().map(|&label| label as u32));
        self.probabilities.extend(probabilities);
    }

    /// The rows as bytes, for another rank.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let numbers = self.indices.iter().chain(&self.labels).flat_map(|n| n.to_le_bytes());
        numbers.chain(self.probabilities.iter().flat_map(|n| n.to_le_bytes())).collect()
    }

    /// The rows of all ranks, in the order of the set. An image that two ranks measured stands once.
    pub(super) fn joined(classes: usize, parts: &[Vec<u8>]) -> Self {
        let mut all = Vec::new();
        for bytes in parts {
            let (words, _) = bytes.as_chunks::<4>();
            let count = words.len() / (2 + classes);
            let (indices, rest) = words.split_at(count);
            let (labels, probabilities) = rest.split_at(count);
            let rows = probabilities.chunks(classes.max(1));
            all.extend(indices.iter().zip(labels).zip(rows).map(|((index, label), row)| {
                (u32::from_le_bytes(*index), u32::from_le_bytes(*label), row)
            }));
        }
        all.sort_by_key(|(index, ..)| *index);
        all.dedup_by_key(|(index, ..)| *index);
        Self {
            classes,
            indices: all.iter().map(|(index, ..)| *index).collect(),
            labels: all.iter().map(|(_, label, _)| *label).collect(),
            probabilities: all
                .iter()
                .flat_map(|(.., row)| row.iter().map(|word| f32::from_le_bytes(*word)))
                .collect(),
        }
    }

    /// The ranking of each class against all others.
    pub(crate) fn rankings(&self) -> Vec<Ranking> {
        (0..self.classes).map(|class| self.ranked(class).ranking()).collect()
    }

    /// The images, sorted by the probability of `class`.
    pub(crate) fn ranked(&self, class: usize) -> Ranked {
        let scores = self.probabilities.iter().skip(class).step_by(self.classes.max(1));
        let is_hit = self.labels.iter().map(|label| *label as usize == class);
        Ranked::new(scores.copied().zip(is_hit))
    }

    /// A table with a line for each image: its name, class and answer.
    pub(crate) fn to_csv(&self, images: &dyn Source) -> String {
        let names = images.class_names();
        let mut head: Vec<String> =
            ["image", "label", "predicted", "correct", "probability"].map(String::from).into();
        if self.classes <= MOST_COLUMNS {
            head.extend(names.iter().map(|name| format!("p({name})")));
        }
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(&head).expect(IN_MEMORY);
        let rows = self.probabilities.chunks(self.classes.max(1));
        for ((&index, &label), row) in self.indices.iter().zip(&self.labels).zip(rows) {
            let best =
                (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
            let mut line = vec![
                images.name(index as usize),
                names[label as usize].clone(),
                names[best].clone(),
                u8::from(best == label as usize).to_string(),
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
        rows.add(&[2, 0], &[1, 0], &[0.25, 0.75, 0.5, 0.5]);
        rows.add(&[1], &[1], &[0.875, 0.125]);
        rows
    }

    #[test]
    fn parts_of_ranks_are_joined_in_the_order_of_the_set() {
        let mut other = Rows::of(Keep::Rows, 3, 2).unwrap();
        other.add(&[3, 1], &[0, 1], &[0.0, 1.0, 0.875, 0.125]);
        let joined = Rows::joined(2, &[rows().to_bytes(), other.to_bytes(), Vec::new()]);
        assert_eq!(joined.indices, [0, 1, 2, 3]);
        assert_eq!(joined.labels, [0, 1, 1, 0]);
        assert_eq!(joined.probabilities, [0.5, 0.5, 0.875, 0.125, 0.25, 0.75, 0.0, 1.0]);
    }

    #[test]
    fn the_table_names_images_and_answers() {
        let names = ["an \"ant\"", "bee"].map(String::from).into();
        let images = datasets::Images::new(vec![0; 9], vec![0, 1, 1], 1, 1, names).unwrap();
        let table = Rows::joined(2, &[rows().to_bytes()]).to_csv(&images);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[0],
            "image,label,predicted,correct,probability,\"p(an \"\"ant\"\")\",p(bee)"
        );
        assert_eq!(lines[3], "2,bee,bee,1,0.750000,0.250000,0.750000");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn too_many_rows_are_not_kept() {
        assert_eq!(Rows::of(Keep::Rows, 1_300_000, 1000), None);
        assert_eq!(Rows::of(Keep::Figures, 3, 2), None);
    }
}
