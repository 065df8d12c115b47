//! Every table of `[augmentation]` is read, written back and refused by name.

use super::*;
use crate::recipe::Recipe;
use crate::recipe::Request;

fn resolved(set: &[&str]) -> Result<Recipe, crate::recipe::Error> {
    Recipe::resolve(&Request {
        set: set.iter().map(|change| format!("augmentation.{change}")).collect(),
        ..Request::default()
    })
}

#[track_caller]
fn refused(set: &[&str], expected: &str) {
    let error = resolved(set).unwrap_err();
    assert_eq!(error.exit_code(), crate::exit_code::ExitCode::Usage, "{error}");
    assert!(error.to_string().contains(expected), "{error}");
}

const EVERYTHING: [&str; 7] = [
    "crop_padding=0",
    "horizontal_flip='alternating'",
    "resized_crop={ scale = [0.25, 1.0], ratio = [0.75, 1.5] }",
    "policy={ name = 'rand-augment', operations = 2, magnitude = 9 }",
    "jitter={ brightness = 0.4, contrast = 0.3, saturation = 0.2, hue = 0.1 }",
    "erasing={ probability = 0.25, scale = [0.02, 0.33], ratio = [0.3, 3.3], value = 'noise' }",
    "mix={ name = 'cutmix', alpha = 1.0 }",
];

#[test]
fn every_table_reaches_the_loader() {
    let recipe = resolved(&EVERYTHING).unwrap();
    let expected = Augmentation {
        crop: None,
        vertical_flip: 0.0,
        horizontal_flip: 0.5,
        cutout: None,
        flip_schedule: FlipSchedule::Alternating,
        resized_crop: Some(ResizedCrop { scale: [0.25, 1.0], ratio: [0.75, 1.5] }),
        policy: Some(Policy::RandAugment { operations: 2, magnitude: 9 }),
        jitter: Some(Jitter { brightness: 0.4, contrast: 0.3, saturation: 0.2, hue: 0.1 }),
        erasing: Some(Erasing {
            probability: 0.25,
            scale: [0.02, 0.33],
            ratio: [0.3, 3.3],
            value: ErasingValue::Noise,
        }),
        mix: Some(Mix::CutMix { alpha: 1.0 }),
    };
    assert_eq!(recipe.augmentation(), expected);
    let other = [
        "policy.name=trivial-augment",
        "erasing={ probability = 1, scale = [0.1, 0.1], ratio = [1, 1], value = 'mean' }",
        "mix={ name = 'mixup', alpha = 0.2 }",
    ];
    let augmentation = resolved(&other).unwrap().augmentation();
    assert_eq!(augmentation.policy, Some(Policy::TrivialAugmentWide));
    assert_eq!(augmentation.mix, Some(Mix::Mixup { alpha: 0.2 }));
    assert_eq!(augmentation.erasing.unwrap().value, ErasingValue::Mean);
}

#[test]
fn what_is_written_into_a_run_is_the_recipe() {
    for set in [&EVERYTHING[..], &["policy.name=trivial-augment"], &[]] {
        let recipe = resolved(set).unwrap();
        let text = toml::to_string(&recipe).unwrap();
        assert_eq!(toml::from_str::<Recipe>(&text).unwrap(), recipe, "{text}");
        assert_eq!(text.contains("[augmentation.mix]"), set.len() == EVERYTHING.len());
    }
}

#[test]
fn test_images_are_changed_when_asked_for_and_never_mixed() {
    assert_eq!(resolved(&EVERYTHING).unwrap().test_augmentation(), Augmentation::default());
    let set = [&EVERYTHING[..], &["applies_to=training-and-test"]].concat();
    let recipe = resolved(&set).unwrap();
    assert_eq!(recipe.test_augmentation(), Augmentation { mix: None, ..recipe.augmentation() });
}

#[test]
fn slips_are_named() {
    refused(
        &["horizontal_flip=1.5"],
        "augmentation.horizontal_flip is 1.5, expected a probability between 0 and 1",
    );
    refused(
        &["horizontal_flip=alternate"],
        "invalid value: string \"alternate\", expected a probability or \"alternating\"",
    );
    refused(&["horizontal_flip=true"], "expected a probability or \"alternating\"");
    assert_eq!(
        resolved(&["horizontal_flip=1"]).unwrap().augmentation.horizontal_flip,
        HorizontalFlip::Probability(1.0)
    );
    refused(
        &["resized_crop={ scale = [0.25, 1.0], ratio = [0.75, 1.5] }"],
        "augmentation.crop_padding must be 0 beside augmentation.resized_crop, got 4",
    );
    refused(&["crop_padding=0", "resized_crop={ scale = [0.25, 1.0] }"], "missing field `ratio`");
    refused(
        &["crop_padding=0", "resized_crop={ scale = [1.0, 0.25], ratio = [0.75, 1.5] }"],
        "augmentation.resized_crop.scale is [1, 0.25], expected two numbers above 0 and at most 1",
    );
    refused(&["policy.name=auto-augment"], "unknown variant `auto-augment`");
    refused(&["policy={ name = 'rand-augment', operations = 2 }"], "missing field `magnitude`");
    refused(
        &["policy={ name = 'rand-augment', operations = 2, magnitude = 31 }"],
        "augmentation.policy.magnitude is 31, expected a whole number from 0 to 30",
    );
    refused(&["policy={ name = 'trivial-augment', magnitude = 9 }"], "unknown field `magnitude`");
    refused(&["jitter={ hue = 0.1 }"], "missing field `brightness`");
    refused(
        &["jitter={ brightness = 0, contrast = 0, saturation = 0, hue = 1 }"],
        "augmentation.jitter.hue is 1, expected a number from 0 to 0.5",
    );
    refused(
        &["erasing={ probability = 0.5, scale = [0.1, 0.2], ratio = [1, 1], value = 'black' }"],
        "unknown variant `black`, expected `mean` or `noise`",
    );
    refused(
        &["mix={ name = 'cutmix', alpha = 0 }"],
        "augmentation.mix.alpha is 0, expected a number above 0",
    );
    refused(&["mix={ name = 'cutmix', alpha = 1, beta = 1 }"], "unknown field `beta`");
}
