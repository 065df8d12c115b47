//! Classes that a network finds rarely because it saw few of their images: the rule by which a run warns.

use super::class_scores::ClassScores;

/// The commonest class has at least so many times the training images of a class that is called rare.
const RARE: u64 = 5;

/// A rare class that is found less than half as often as images are on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Neglected {
    /// The class.
    pub(crate) class: usize,
    /// The part of its images that was found.
    pub(crate) recall: f64,
    /// Its training images.
    pub(crate) training_images: u64,
    /// Those of the commonest class.
    pub(crate) of_commonest: u64,
}

/// The neglected classes of a square `confusion`, least found first. `training_images` are by class.
pub(crate) fn neglected(confusion: &[Vec<u64>], training_images: &[u64]) -> Vec<Neglected> {
    let scores = ClassScores::of(confusion);
    let images: u64 = scores.iter().map(|scores| scores.support).sum();
    let hits: u64 = (0..confusion.len()).map(|class| confusion[class][class]).sum();
    let of_commonest = training_images.iter().copied().max().unwrap_or(0);
    let classes = scores.iter().zip(training_images).enumerate();
    let mut found: Vec<Neglected> = classes
        .filter_map(|(class, (scores, &training_images))| {
            let recall = scores.recall?;
            let is_rare = training_images * RARE <= of_commonest;
            let is_missed = recall * 2.0 * (images as f64) < hits as f64 || recall == 0.0;
            (is_rare && is_missed).then_some(Neglected {
                class,
                recall,
                training_images,
                of_commonest,
            })
        })
        .collect();
    found.sort_by(|a, b| a.recall.total_cmp(&b.recall));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rare_classes_that_are_missed_are_named() {
        // Class 1 is rare and missed, 2 is rare and found, 3 is common and missed, 4 has no test image.
        let confusion = vec![
            vec![90, 0, 0, 10, 0],
            vec![8, 2, 0, 0, 0],
            vec![1, 0, 9, 0, 0],
            vec![8, 0, 0, 2, 0],
            vec![0; 5],
        ];
        let found = neglected(&confusion, &[1000, 200, 100, 900, 1]);
        let expected =
            Neglected { class: 1, recall: 0.2, training_images: 200, of_commonest: 1000 };
        assert_eq!(found, [expected]);
        assert!(neglected(&confusion, &[1000, 201, 100, 900, 1]).is_empty());
        assert!(neglected(&confusion, &[]).is_empty(), "an earlier version left no counts");
    }
}
