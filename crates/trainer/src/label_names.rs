//! The classes of an image as a text, for lists and pages.

use datasets::{Part, Source};

/// The name of an image's class. Of a multi-label set the names of all its classes, in their order, with `|` between them;
/// nothing for an image of no class.
pub(crate) fn label_names(images: &dyn Source, index: usize) -> String {
    names(images, index).join("|")
}

/// The names of `labels` among `class_names`, with `|` between them.
pub(crate) fn joined(class_names: &[String], labels: &[u32]) -> String {
    of(class_names, labels).join("|")
}

/// The names of an image's classes.
pub(crate) fn names(images: &dyn Source, index: usize) -> Vec<&str> {
    let mut labels = Vec::new();
    images.labels(index, &mut labels);
    of(images.class_names(), &labels)
}

fn of<'a>(class_names: &'a [String], labels: &[u32]) -> Vec<&'a str> {
    labels.iter().map(|&label| class_names[label as usize].as_str()).collect()
}

/// A remark on the number of labels of the images of `parts`, for a multi-label set.
pub(crate) fn remark(parts: &[Part<'_>]) -> Option<String> {
    parts.iter().any(|part| part.images.is_multi_label()).then_some(())?;
    let (mut images, mut all, mut without, mut most, mut labels) = (0, 0, 0, 0, Vec::new());
    for part in parts {
        for index in 0..part.images.len() {
            part.images.labels(index, &mut labels);
            images += 1;
            all += labels.len();
            most = most.max(labels.len());
            without += usize::from(labels.is_empty());
        }
    }
    let mean = all as f64 / f64::max(f64::from(u32::try_from(images).unwrap_or(u32::MAX)), 1.0);
    Some(format!(
        "an image has {mean:.2} labels on average and {most} at most; {without} have none; an image counts for each of its labels"
    ))
}

#[cfg(test)]
mod tests {
    use datasets::Images;

    use super::*;

    #[test]
    fn all_classes_of_an_image_are_named() {
        let classes = ["ant", "bee", "cat"].map(String::from).to_vec();
        let labels = [vec![2, 0], vec![], vec![1]];
        let images = Images::multi_label(vec![0; 9], &labels, 1, 1, classes.clone()).unwrap();
        assert_eq!([0, 1, 2].map(|index| label_names(&images, index)), ["ant|cat", "", "bee"]);
        let part = |images| Part { name: "train", images };
        assert_eq!(
            remark(&[part(&images)]).unwrap(),
            "an image has 1.00 labels on average and 2 at most; 1 have none; an image counts for each of its labels"
        );
        let images = Images::new(vec![0; 3], vec![1], 1, 1, classes).unwrap();
        assert_eq!((label_names(&images, 0).as_str(), remark(&[part(&images)])), ("bee", None));
    }
}
