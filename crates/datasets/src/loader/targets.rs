//! The labels of a batch as a tensor: numbers of classes, or 0 and 1 for each class where an image has several labels.

use tch::Tensor;

use super::contents::tensor;
use crate::source::Source;

/// The labels of the images of `images` that `indices` number: `[n]`, int64, or of a multi-label set `[n, classes]`,
/// float32, with 1 for each class that an image is of and 0 elsewhere.
pub(super) fn targets(images: &dyn Source, indices: impl ExactSizeIterator<Item = u32>) -> Tensor {
    if !images.is_multi_label() {
        let labels: Vec<i64> =
            indices.map(|index| i64::from(images.label(index as usize))).collect();
        return Tensor::from_slice(&labels);
    }
    let (n, classes) = (indices.len(), images.class_names().len());
    let mut rows = vec![0_f32; n * classes];
    let mut labels = Vec::new();
    for (place, index) in indices.enumerate() {
        images.labels(index as usize, &mut labels);
        labels.iter().for_each(|&label| rows[place * classes + label as usize] = 1.);
    }
    tensor(&rows).view([n as i64, classes as i64])
}
