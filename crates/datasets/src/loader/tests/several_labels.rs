//! Sets of images with several labels.

use super::*;
use crate::{ClassShare, Mix};

/// Images of 4x5 of a set of 5 classes: image `i` is of the classes whose bits `i` has.
fn several(count: usize) -> Arc<Images> {
    let pixels = (0..count * 60).map(|position| (position / 60 * 8 + position % 60) as u8);
    let labels: Vec<Vec<u32>> =
        (0..count).map(|image| (0..5).filter(|class| image >> class & 1 == 1).collect()).collect();
    let names = (0..5).map(|class| class.to_string()).collect();
    Arc::new(Images::multi_label(pixels.collect(), &labels, 4, 5, names).unwrap())
}

/// The rows of 0 and 1 of images of [`several`].
fn expected(indices: impl Iterator<Item = u32>) -> Vec<f32> {
    let row = |index: u32| (0..5).map(move |class| (index >> class & 1) as f32);
    indices.flat_map(row).collect()
}

#[test]
fn labels_are_rows_of_0_and_1() {
    for config in [config(4), augmented(4)] {
        for batch in whole(Loader::new(several(10), config).unwrap().epoch(1)) {
            assert_eq!(batch.labels.size(), [batch.indices.len() as i64, 5]);
            assert_eq!(batch.labels.kind(), Kind::Float);
            assert_eq!(values(&batch.labels), expected(batch.indices.iter().copied()));
        }
    }
}

#[test]
fn a_mixed_batch_has_rows_of_its_partners() {
    for mix in [Mix::Mixup { alpha: 1. }, Mix::CutMix { alpha: 1. }] {
        let augmentation = Augmentation { mix: Some(mix), ..Augmentation::default() };
        let config = LoaderConfig { augmentation, order: Order::Shuffled, ..config(4) };
        for batch in whole(Loader::new(several(10), config).unwrap().epoch(0)) {
            let mixed = batch.mixed.as_ref().unwrap();
            assert_eq!(values(&batch.labels), expected(batch.indices.iter().copied()));
            assert_eq!(mixed.partner_labels.size(), batch.labels.size());
            assert_eq!(mixed.partner_labels.kind(), Kind::Float);
            let partners = expected(batch.indices.iter().rev().copied());
            assert_eq!(values(&mixed.partner_labels), partners, "from the other end");
        }
    }
}

#[test]
fn a_rank_has_the_rows_of_its_share() {
    for rank in 0..2 {
        let config = LoaderConfig { share: Share { rank, world_size: 2 }, ..config(4) };
        for batch in whole(Loader::new(several(12), config).unwrap().epoch(0)) {
            assert_eq!(values(&batch.labels), expected(batch.indices.iter().copied()));
        }
    }
}

#[test]
fn classes_are_not_balanced() {
    for share in [ClassShare::Equal, ClassShare::SquareRoot] {
        let config = LoaderConfig { order: Order::Balanced(share), ..config(4) };
        let error = Loader::new(several(10), config).err().unwrap().to_string();
        assert!(
            error
                .starts_with("classes cannot be balanced in a set of images with several labels: "),
            "{error}"
        );
    }
}
