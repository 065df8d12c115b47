//! Batches: the same for every size and prefetch, and after every interruption.

mod on_device;
mod several_labels;
mod shares;
mod whole_batches;

use std::collections::BTreeMap;

use tch::Kind;

use super::*;
use crate::Images;

/// Images of 4x5 whose pixels name their image, row, column and channel.
fn images(count: usize) -> Arc<Images> {
    let pixels = (0..count * 60).map(|position| (position / 60 * 64 + position % 60) as u8);
    let labels = (0..count).map(|index| index as u32 % 7).collect();
    let class_names = (0..7).map(|class| class.to_string()).collect();
    Arc::new(Images::new(pixels.collect(), labels, 4, 5, class_names).unwrap())
}

fn config(batch_size: usize) -> LoaderConfig {
    LoaderConfig {
        batch_size,
        share: Share::WHOLE,
        order: Order::Sequential,
        seed: 1,
        augmentation: Augmentation::default(),
        normalization: Normalization::HALF,
        last_batch: LastBatch::Keep,
        fit: None,
        broken: Broken::Refuse,
        prefetch: 0,
        workers: 1,
    }
}

/// Options with every random change of crop, flips and cutout.
fn augmented(batch_size: usize) -> LoaderConfig {
    LoaderConfig {
        order: Order::Shuffled,
        augmentation: Augmentation {
            crop: Some(crate::Crop { padding: 2, mode: crate::PaddingMode::Reflect }),
            cutout: Some(2),
            ..Augmentation::NOTEBOOK
        },
        ..config(batch_size)
    }
}

fn loader(count: usize, config: LoaderConfig) -> Loader {
    Loader::new(images(count), config).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.contiguous().view(-1)).unwrap()
}

fn labels(batch: &Batch) -> Vec<i64> {
    Vec::try_from(&batch.labels).unwrap()
}

/// Batches of images in memory, none of which can be broken.
fn whole(batches: Batches) -> impl Iterator<Item = Batch> {
    batches.map(|batch| batch.expect("images in memory"))
}

/// Index and image of every image, in the order of the epoch.
fn image_values(batches: Batches) -> Vec<(u32, Vec<f32>)> {
    whole(batches)
        .flat_map(|batch| {
            let images = (0..batch.indices.len()).map(|n| values(&batch.images.get(n as i64)));
            batch.indices.iter().copied().zip(images.collect::<Vec<_>>()).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn images_are_nchw_with_channels_last_strides() {
    let batch = whole(loader(3, config(2)).epoch(0)).next().unwrap();
    assert_eq!(batch.images.size(), [2, 3, 4, 5]);
    assert_eq!(batch.images.stride(), [60, 1, 15, 3]);
    assert_eq!(batch.images.kind(), Kind::Float);
    let pixel = |n, channel, row, column| {
        ((batch.images.double_value(&[n, channel, row, column]) + 1.) * 127.5).round() as u8
    };
    assert_eq!(pixel(0, 0, 0, 0), 0);
    assert_eq!(pixel(0, 2, 0, 0), 2, "blue");
    assert_eq!(pixel(0, 1, 0, 4), 13, "first row, last column");
    assert_eq!(pixel(0, 1, 3, 0), 46, "last row, first column");
    assert_eq!(pixel(1, 2, 3, 4), 64 + 59);
}

/// A batch is copied in pieces, whose seams lie inside an image.
#[test]
fn large_batches_are_put_together_in_order() {
    let batch = whole(loader(2000, config(2000)).epoch(0)).next().unwrap();
    for index in 0..2000 {
        let image = values(&batch.images.get(index).permute([1, 2, 0]));
        let bytes = image.iter().map(|value| ((value + 1.) * 127.5).round() as u8);
        assert!(bytes.eq((0..60).map(|position| (index * 64 + position) as u8)), "{index}");
    }
}

#[test]
fn labels_follow_their_images() {
    for config in [config(4), augmented(4)] {
        for batch in whole(loader(10, config).epoch(3)) {
            let expected: Vec<_> = batch.indices.iter().map(|index| i64::from(index % 7)).collect();
            assert_eq!(labels(&batch), expected);
            assert_eq!(batch.labels.kind(), Kind::Int64);
        }
    }
}

#[test]
fn the_last_batch_is_kept_unless_it_is_dropped() {
    let check = |count, last_batch, expected: &[usize]| {
        for prefetch in [0, 1] {
            let loader = loader(count, LoaderConfig { last_batch, prefetch, ..config(4) });
            let sizes: Vec<_> = whole(loader.epoch(0)).map(|batch| batch.indices.len()).collect();
            assert_eq!(sizes, expected);
            assert_eq!(loader.batches_per_epoch(), expected.len());
            assert_eq!(loader.images_per_epoch(), expected.iter().sum::<usize>());
            assert_eq!(loader.epoch(0).len(), expected.len());
        }
    };
    check(10, LastBatch::default(), &[4, 4, 2]);
    check(10, LastBatch::Drop, &[4, 4]);
    check(8, LastBatch::Keep, &[4, 4]);
    check(8, LastBatch::Drop, &[4, 4]);
    check(3, LastBatch::Keep, &[3]);
}

#[test]
fn every_image_occurs_once_in_an_epoch() {
    for order in [Order::Sequential, Order::Shuffled] {
        let loader = loader(23, LoaderConfig { order, ..config(5) });
        let indices = |epoch| whole(loader.epoch(epoch)).flat_map(|batch| batch.indices);
        let mut sorted: Vec<_> = indices(0).collect();
        assert_eq!(sorted.is_sorted(), order == Order::Sequential);
        assert_eq!(indices(0).eq(indices(1)), order == Order::Sequential);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..23).collect::<Vec<_>>());
    }
}

#[test]
fn batches_are_the_same_for_every_prefetch() {
    let expected = image_values(loader(23, augmented(4)).epoch(2));
    for prefetch in [1, 2, 50, usize::MAX] {
        let loader = loader(23, LoaderConfig { prefetch, ..augmented(4) });
        assert_eq!(image_values(loader.epoch(2)), expected);
    }
}

#[test]
fn an_image_is_the_same_in_every_batch_size() {
    let expected = image_values(loader(23, augmented(23)).epoch(2));
    for batch_size in [1, 4, 22, 1000] {
        assert_eq!(image_values(loader(23, augmented(batch_size)).epoch(2)), expected);
    }
}

#[test]
fn augmentation_changes_with_epoch_and_seed_only() {
    let by_index = |seed, epoch, order| -> BTreeMap<_, _> {
        let config = LoaderConfig { seed, order, ..augmented(4) };
        image_values(loader(23, config).epoch(epoch)).into_iter().collect()
    };
    let expected = by_index(1, 0, Order::Shuffled);
    assert_eq!(by_index(1, 0, Order::Sequential), expected);
    let equal = |other: BTreeMap<u32, Vec<f32>>| {
        expected.iter().filter(|(index, image)| other[index] == **image).count()
    };
    // An image's draw coincides with probability 1 / (25 * 4 * 20).
    assert!(equal(by_index(1, 1, Order::Shuffled)) <= 1);
    assert!(equal(by_index(2, 0, Order::Shuffled)) <= 1);
}

/// The images of a run must not change with the version of this program.
#[test]
fn every_bit_of_a_batch_is_stable() {
    let hash =
        image_values(loader(23, augmented(4)).epoch(2)).iter().fold(
            0xcbf2_9ce4_8422_2325,
            // FNV-1a.
            |hash: u64, (index, image)| {
                let bytes = image.iter().flat_map(|value| value.to_bits().to_le_bytes());
                index.to_le_bytes().into_iter().chain(bytes).fold(hash, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                })
            },
        );
    assert_eq!(hash, 12_184_699_242_455_145_995);
}

#[test]
fn an_epoch_continues_at_any_batch() {
    for prefetch in [0, 2] {
        let loader = loader(23, LoaderConfig { prefetch, ..augmented(4) });
        let whole = image_values(loader.epoch(5));
        for first in 0..=6 {
            assert_eq!(loader.epoch_from(5, first).len(), 6 - first);
            assert_eq!(image_values(loader.epoch_from(5, first)), whole[(first * 4).min(23)..]);
        }
        assert_eq!(loader.epoch_from(5, usize::MAX).count(), 0);
    }
}

#[test]
fn leaving_an_epoch_early_does_not_hang() {
    let loader = loader(23, LoaderConfig { prefetch: 2, ..augmented(1) });
    for taken in 0..4 {
        assert_eq!(loader.epoch(0).take(taken).count(), taken);
    }
}

#[test]
fn configurations_without_a_batch_are_refused() {
    let check = |count, config, expected: &str| {
        let error = Loader::new(images(count), config).err().expect(expected);
        assert_eq!(error.to_string(), expected);
    };
    check(3, config(0), "batch size 0; use 1 or more");
    check(
        3,
        LoaderConfig { last_batch: LastBatch::Drop, ..config(4) },
        "no batch in an epoch: 3 images, batch size 4, last partial batch dropped; \
         use a smaller batch or more images",
    );
    check(
        0,
        config(4),
        "no batch in an epoch: 0 images, batch size 4, last partial batch kept; \
         use a smaller batch or more images",
    );
    check(
        3,
        LoaderConfig { augmentation: Augmentation::NOTEBOOK, ..config(4) },
        "crop padding 4 needs images of more than 4 pixels a side, these are 4x5",
    );
}
