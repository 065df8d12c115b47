//! Changes of whole batches (mixing, another size) and all families at once: the same for every prefetch and after
//! every interruption.

use super::*;
use crate::{
    Erasing, ErasingValue, FlipSchedule, Jitter, Mix, Policy, ResizedCrop, Split, synthetic,
};

/// All changes of a single image.
const EVERYTHING: Augmentation = Augmentation {
    crop: None,
    vertical_flip: 0.5,
    horizontal_flip: 0.5,
    cutout: Some(2),
    flip_schedule: FlipSchedule::Alternating,
    resized_crop: Some(ResizedCrop { scale: [0.3, 1.], ratio: [0.75, 4. / 3.] }),
    policy: Some(Policy::RandAugment { operations: 2, magnitude: 9 }),
    jitter: Some(Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
    erasing: Some(Erasing {
        probability: 0.5,
        scale: [0.1, 0.3],
        ratio: [0.3, 3.3],
        value: ErasingValue::Noise,
    }),
    mix: None,
};

fn shuffled(augmentation: Augmentation, batch_size: usize) -> LoaderConfig {
    LoaderConfig { augmentation, order: Order::Shuffled, ..config(batch_size) }
}

fn drawn(count: usize) -> Arc<Images> {
    Arc::new(synthetic::images(Split::Train, count, 16, 0).unwrap())
}

#[test]
fn with_every_family_an_image_is_the_same_in_every_batch_and_thread() {
    let of = |batch_size, prefetch, epoch| {
        let config = LoaderConfig { prefetch, ..shuffled(EVERYTHING, batch_size) };
        image_values(Loader::new(drawn(23), config).unwrap().epoch(epoch))
    };
    let expected = of(23, 0, 2);
    for (batch_size, prefetch) in [(1, 0), (4, 0), (4, 1), (22, 50)] {
        assert_eq!(of(batch_size, prefetch, 2), expected);
    }
    let by_index = |images: Vec<_>| images.into_iter().collect::<BTreeMap<u32, Vec<f32>>>();
    let (one, other) = (by_index(expected), by_index(of(23, 0, 3)));
    assert!(one.iter().all(|(index, image)| other[index] != *image));
}

#[test]
fn mixed_batches_state_partners_and_weight() {
    for mix in [Mix::Mixup { alpha: 1. }, Mix::CutMix { alpha: 1. }] {
        let plain = loader(23, shuffled(EVERYTHING, 4));
        let mixed = loader(23, shuffled(Augmentation { mix: Some(mix), ..EVERYTHING }, 4));
        let mut weights = Vec::new();
        for (plain, batch) in whole(plain.epoch(1)).zip(whole(mixed.epoch(1))) {
            assert!(plain.mixed.is_none());
            assert_eq!((labels(&batch), &batch.indices), (labels(&plain), &plain.indices));
            let Mixed { partner_labels, weight } = batch.mixed.unwrap();
            let partners: Vec<i64> = partner_labels.try_into().unwrap();
            assert!(partners.iter().rev().eq(&labels(&plain)), "the batch from its other end");
            // Both keep the mean of a batch's images.
            let mean = |images: &Tensor| images.mean(Kind::Double).double_value(&[]);
            assert!((mean(&batch.images) - mean(&plain.images)).abs() < 1e-6);
            if let Mix::Mixup { .. } = mix {
                let expected = &plain.images * weight + plain.images.flip([0]) * (1. - weight);
                assert!((expected - &batch.images).abs().max().double_value(&[]) < 1e-5);
            }
            weights.push(weight);
        }
        assert!(weights.iter().all(|weight| (0. ..=1.).contains(weight)));
        assert!(weights.windows(2).any(|pair| pair[0] != pair[1]), "{weights:?}");
    }
}

#[test]
fn images_of_another_size_are_those_of_the_own_size_resized() {
    let loader = Loader::new(drawn(10), shuffled(EVERYTHING, 4)).unwrap();
    for side in [8, 12, 24] {
        for (own, other) in whole(loader.epoch(3)).zip(whole(loader.epoch_at(3, 0, side))) {
            let side = side as i64;
            assert_eq!(other.images.size(), [own.indices.len() as i64, 3, side, side]);
            assert_eq!(other.images.stride(), [side * side * 3, 1, side * 3, 3]);
            let expected =
                own.images.internal_upsample_bilinear2d_aa([side, side], false, None, None);
            assert!((expected - other.images).abs().max().double_value(&[]) < 1e-5);
        }
    }
    assert_eq!(image_values(loader.epoch_at(3, 0, 16)), image_values(loader.epoch(3)));
}

#[test]
fn a_mixed_epoch_in_another_size_continues_at_any_batch() {
    let augmentation = Augmentation { mix: Some(Mix::CutMix { alpha: 1. }), ..EVERYTHING };
    let weights = |batches: Batches| -> Vec<f64> {
        whole(batches).map(|batch| batch.mixed.unwrap().weight).collect()
    };
    for prefetch in [0, 2] {
        let config = LoaderConfig { prefetch, ..shuffled(augmentation, 4) };
        let loader = Loader::new(drawn(23), config).unwrap();
        let expected = image_values(loader.epoch_at(5, 0, 12));
        let all = weights(loader.epoch_at(5, 0, 12));
        for first in 0..=6 {
            let rest = || loader.epoch_at(5, first, 12);
            assert_eq!(rest().len(), 6 - first);
            assert_eq!(image_values(rest()), expected[(first * 4).min(23)..]);
            assert_eq!(weights(rest()), all[first..]);
        }
        assert_eq!(loader.epoch_at(5, usize::MAX, 12).count(), 0);
    }
}

/// The weight counts the pixels that a network reads.
#[test]
fn boxes_are_cut_in_the_size_of_the_epoch() {
    let augmentation =
        Augmentation { mix: Some(Mix::CutMix { alpha: 1. }), ..Augmentation::default() };
    let loader = Loader::new(drawn(20), shuffled(augmentation, 2)).unwrap();
    for batch in whole(loader.epoch_at(0, 0, 7)) {
        let pixels = batch.mixed.unwrap().weight * 49.;
        assert!((pixels - pixels.round()).abs() < 1e-9, "{pixels} of 49 pixels");
    }
}

#[test]
#[should_panic(expected = "expected images of a side of at least 1 pixel, got 0")]
fn images_without_a_side_are_refused() {
    drop(loader(3, config(2)).epoch_at(0, 0, 0));
}
