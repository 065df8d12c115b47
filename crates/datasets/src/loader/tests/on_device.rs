//! Batches that a device finishes are those of the loader, to the bit. The device here is the CPU.

use super::*;
use crate::{
    Crop, Erasing, ErasingValue, FlipSchedule, Jitter, Mix, PaddingMode, Policy, ResizedCrop,
};

const ERASING: Erasing =
    Erasing { probability: 0.7, scale: [0.02, 0.33], ratio: [0.3, 3.3], value: ErasingValue::Mean };

/// Compares every batch of two epochs, the last of which is not full, and checks the kind of what travels.
#[track_caller]
fn check(augmentation: Augmentation, travels: Kind) {
    let config = LoaderConfig { augmentation, prefetch: 2, workers: 2, ..augmented(5) };
    for normalization in [Normalization::CIFAR10_NOTEBOOK, Normalization::HALF] {
        let config = LoaderConfig { normalization, ..config };
        let here = loader(23, config);
        let there = loader(23, config).finished_on(Device::Cpu);
        for epoch in [0, 3] {
            for (expected, batch) in whole(here.epoch(epoch)).zip(whole(there.epoch(epoch))) {
                assert_eq!(batch.images.kind(), travels);
                assert_eq!(batch.rest.is_some(), travels != Kind::Float);
                let images = batch.images_on(Device::Cpu).unwrap();
                assert_eq!(images.stride(), expected.images.stride());
                assert!(images.equal(&expected.images), "{augmentation:?}");
                assert_eq!(batch.indices, expected.indices);
                assert!(batch.labels.equal(&expected.labels));
            }
        }
    }
}

macro_rules! cases {
    ($($name:ident: $travels:ident, $augmentation:expr;)*) => {
        $(#[test]
        fn $name() {
            check($augmentation, Kind::$travels);
        })*
    };
}

const PLAIN: Augmentation =
    Augmentation { crop: None, vertical_flip: 0., horizontal_flip: 0., ..Augmentation::NOTEBOOK };

cases! {
    images_as_they_are_are_places: Int, PLAIN;
    black_padding_is_a_place: Int, Augmentation {
        crop: Some(Crop { padding: 3, mode: PaddingMode::Zero }),
        ..Augmentation::NOTEBOOK
    };
    mirrored_padding_is_a_place: Int, Augmentation {
        crop: Some(Crop { padding: 2, mode: PaddingMode::Reflect }),
        flip_schedule: FlipSchedule::Alternating,
        ..Augmentation::NOTEBOOK
    };
    cutouts_are_set_to_zero_afterwards: Int, Augmentation { cutout: Some(3), ..PLAIN };
    so_is_what_is_erased: Int, Augmentation {
        cutout: Some(2),
        erasing: Some(ERASING),
        ..PLAIN
    };
    other_colours_are_bytes: Uint8, Augmentation {
        policy: Some(Policy::RandAugment { operations: 2, magnitude: 9 }),
        cutout: Some(2),
        ..PLAIN
    };
    jittered_colours_are_bytes: Uint8, Augmentation {
        jitter: Some(Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        erasing: Some(ERASING),
        ..PLAIN
    };
    windows_are_bytes: Uint8, Augmentation {
        resized_crop: Some(ResizedCrop { scale: [0.3, 1.], ratio: [0.75, 1.33] }),
        ..PLAIN
    };
    noise_is_ready: Float, Augmentation {
        erasing: Some(Erasing { value: ErasingValue::Noise, ..ERASING }),
        ..PLAIN
    };
    mixed_batches_are_ready: Float, Augmentation { mix: Some(Mix::CutMix { alpha: 1. }), ..PLAIN };
}
