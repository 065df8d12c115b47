//! Draws of crop, flips and cutout, and the refusals of options.

use std::collections::BTreeMap;

use super::*;
use crate::random::{Purpose, stream};

fn draws(augmentation: Augmentation) -> Vec<Draw> {
    (0..20_000)
        .map(|index| augmentation.draw(&mut stream(0, Purpose::Augment, 0, index), 32, 24))
        .collect()
}

fn counts<T: Ord>(values: impl Iterator<Item = T>) -> BTreeMap<T, u32> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

#[test]
fn every_crop_offset_is_drawn_including_the_last() {
    let offsets = counts(draws(Augmentation::NOTEBOOK).into_iter().map(|draw| draw.offsets));
    assert_eq!(offsets.len(), 81);
    assert_eq!(offsets.keys().max(), Some(&[8, 8]));
    // 247 expected in each; 80 is five standard deviations.
    assert!(offsets.values().all(|count| count.abs_diff(247) < 80), "{offsets:?}");
}

#[test]
fn every_cutout_centre_is_drawn() {
    let draws = draws(Augmentation::default());
    for (axis, size) in [(0, 32), (1, 24)] {
        let centres = counts(draws.iter().map(|draw| draw.centre[axis]));
        assert!(centres.keys().copied().eq(0..size), "{centres:?}");
    }
}

#[test]
fn flips_follow_their_probability_and_are_independent() {
    let augmentation =
        Augmentation { vertical_flip: 0.25, horizontal_flip: 0.5, ..Default::default() };
    let flips = counts(draws(augmentation).into_iter().map(|draw| draw.flips));
    for (flips, count) in flips {
        let expected = if flips[0] { 2500 } else { 7500 };
        // Five standard deviations are 350 at most.
        assert!(count.abs_diff(expected) < 350, "{flips:?}: {count}");
    }
    for (probability, expected) in [(0., false), (1., true)] {
        let augmentation = Augmentation {
            vertical_flip: probability,
            horizontal_flip: probability,
            ..Default::default()
        };
        assert!(draws(augmentation).iter().all(|draw| draw.flips == [expected; 2]));
    }
}

#[test]
fn one_option_does_not_move_the_draws_of_another() {
    let all = draws(Augmentation::NOTEBOOK);
    let crop_only = draws(Augmentation { crop: Augmentation::NOTEBOOK.crop, ..Default::default() });
    let flips_only = draws(Augmentation { crop: None, ..Augmentation::NOTEBOOK });
    for ((all, crop), flips) in all.iter().zip(&crop_only).zip(&flips_only) {
        assert_eq!(*all, Draw { flips: all.flips, ..*crop });
        assert_eq!(*all, Draw { offsets: all.offsets, ..*flips });
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let check = |augmentation: Augmentation, expected: &str| {
        assert_eq!(augmentation.check(32, 24).unwrap_err().to_string(), expected);
    };
    let none = Augmentation::default();
    let probability = "expected a probability between 0 and 1";
    check(
        Augmentation { vertical_flip: -0.1, ..none },
        &format!("vertical_flip is -0.1, {probability}"),
    );
    check(
        Augmentation { horizontal_flip: 50., ..none },
        &format!("horizontal_flip is 50, {probability}"),
    );
    check(
        Augmentation { horizontal_flip: f64::NAN, ..none },
        &format!("horizontal_flip is NaN, {probability}"),
    );
    for mode in [PaddingMode::Zero, PaddingMode::Reflect] {
        check(
            Augmentation { crop: Some(Crop { padding: 24, mode }), ..none },
            "crop padding 24 needs images of more than 24 pixels a side, these are 32x24",
        );
        let largest = Augmentation { crop: Some(Crop { padding: 23, mode }), ..none };
        assert!(largest.check(32, 24).is_ok());
    }
    for size in [0, 25] {
        check(
            Augmentation { cutout: Some(size), ..none },
            &format!(
                "cutout size {size} must lie between 1 and the shorter side of the images (32x24)"
            ),
        );
    }
    assert!(Augmentation { cutout: Some(24), ..Augmentation::NOTEBOOK }.check(32, 24).is_ok());
}

#[test]
fn options_of_every_family_are_checked() {
    let refused = |augmentation: Augmentation, expected: &str| {
        assert_eq!(augmentation.check_options().unwrap_err().to_string(), expected);
        assert!(augmentation.check(32, 24).is_err());
    };
    let none = Augmentation::default();
    let window = ResizedCrop { scale: [0.08, 1.], ratio: [0.75, 1.5] };
    let resized = |crop| Augmentation { resized_crop: Some(crop), ..none };
    for scale in [[0., 1.], [0.5, 1.5], [0.9, 0.1], [f64::NAN, 1.]] {
        refused(
            resized(ResizedCrop { scale, ..window }),
            &format!(
                "resized_crop.scale is [{}, {}], expected two numbers above 0 and at most 1, \
                 the first not above the second",
                scale[0], scale[1]
            ),
        );
    }
    for ratio in [[0., 1.], [2., 1.], [1., f64::INFINITY]] {
        refused(
            resized(ResizedCrop { ratio, ..window }),
            &format!(
                "resized_crop.ratio is [{}, {}], expected two numbers above 0, \
                 the first not above the second",
                ratio[0], ratio[1]
            ),
        );
    }
    refused(
        Augmentation { crop: Augmentation::NOTEBOOK.crop, ..resized(window) },
        "crop with padding 4 and resized_crop both cut the image; use one of them",
    );
    let policy = |operations, magnitude| Augmentation {
        policy: Some(Policy::RandAugment { operations, magnitude }),
        ..none
    };
    refused(policy(0, 9), "policy.operations is 0, expected 1 or more");
    refused(policy(2, 31), "policy.magnitude is 31, expected a whole number from 0 to 30");
    let calm = Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.5 };
    let jitter = |jitter| Augmentation { jitter: Some(jitter), ..none };
    let accepted = "expected a number of 0 or more";
    refused(
        jitter(Jitter { brightness: -1., ..calm }),
        &format!("jitter.brightness is -1, {accepted}"),
    );
    refused(
        jitter(Jitter { contrast: f64::NAN, ..calm }),
        &format!("jitter.contrast is NaN, {accepted}"),
    );
    refused(
        jitter(Jitter { saturation: f64::INFINITY, ..calm }),
        &format!("jitter.saturation is inf, {accepted}"),
    );
    refused(
        jitter(Jitter { hue: 0.6, ..calm }),
        "jitter.hue is 0.6, expected a number from 0 to 0.5",
    );
    let value = ErasingValue::Mean;
    let third = Erasing { probability: 0.25, scale: [0.02, 0.33], ratio: [0.3, 3.3], value };
    let erasing = |erasing| Augmentation { erasing: Some(erasing), ..none };
    refused(
        erasing(Erasing { probability: 1.5, ..third }),
        "erasing.probability is 1.5, expected a probability between 0 and 1",
    );
    refused(
        erasing(Erasing { scale: [0.02, 33.], ..third }),
        "erasing.scale is [0.02, 33], expected two numbers above 0 and at most 1, \
         the first not above the second",
    );
    refused(
        erasing(Erasing { ratio: [3.3, 0.3], ..third }),
        "erasing.ratio is [3.3, 0.3], expected two numbers above 0, the first not above the second",
    );
    for alpha in [0., -1., f64::NAN, f64::INFINITY] {
        for mix in [Mix::Mixup { alpha }, Mix::CutMix { alpha }] {
            refused(
                Augmentation { mix: Some(mix), ..none },
                &format!("mix.alpha is {alpha}, expected a number above 0"),
            );
        }
    }
    let everything = Augmentation {
        mix: Some(Mix::CutMix { alpha: 1. }),
        policy: Some(Policy::RandAugment { operations: 1, magnitude: 30 }),
        jitter: Some(calm),
        erasing: Some(third),
        ..resized(window)
    };
    assert!(everything.check(32, 24).is_ok());
}
