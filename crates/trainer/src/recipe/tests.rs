//! Every recipe parses, builds and says where its figures come from; every slip is named.

use super::*;
use crate::optimizer::Decays;

fn arguments(recipe: &str, set: &[&str]) -> TrainArgs {
    TrainArgs {
        recipe: Some(recipe.to_string()),
        preset: None,
        data: None,
        out: None,
        resume: None,
        set: set.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn refused(set: &[&str], expected: &str) {
    let error = Recipe::resolve(&arguments("quick", set)).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn every_named_recipe_resolves_and_builds() {
    for (name, text) in NAMED {
        let recipe = Recipe::resolve(&arguments(name, &[])).unwrap();
        recipe.spec(10).unwrap().architecture().unwrap();
        for word in ["# Command:", "# Hardware:", "# Time:", "# Result:"] {
            assert!(text.contains(word), "{name} does not say its {word}");
        }
    }
}

#[test]
fn every_file_in_recipes_is_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(named(name).is_some(), "{name} is not embedded");
    }
}

/// seeds/000: Adam at 1e-3 with PyTorch's other numbers, batches of 16, ten epochs.
#[test]
fn the_notebook_is_the_notebook() {
    let recipe = Recipe::resolve(&arguments("notebook", &[])).unwrap();
    assert_eq!((recipe.epochs, recipe.batch_size, recipe.label_smoothing), (10, 16, 0.0));
    assert_eq!(recipe.schedule, Schedule::Constant { learning_rate: 1e-3 });
    assert_eq!(recipe.augmentation(), Augmentation::NOTEBOOK);
    assert_eq!(recipe.normalization(), Normalization::CIFAR10_NOTEBOOK);
    assert_eq!(recipe.spec(10).unwrap().preset, Preset::NotebookCifar10);
    assert_eq!(recipe.augmentation.applies_to, AppliesTo::Training);
}

#[test]
fn values_can_be_changed_from_the_command_line() {
    let set = [
        "epochs=3",
        "schedule.peak = 0.5",
        "precision=bf16",
        "model.scale.entry_strides=[2, 1, 1]",
    ];
    let recipe = Recipe::resolve(&arguments("quick", &set)).unwrap();
    assert_eq!((recipe.epochs, recipe.precision), (3, Precision::Bf16));
    assert!(matches!(recipe.schedule, Schedule::OneCycle { peak: 0.5, .. }));
    assert_eq!(recipe.spec(10).unwrap().scale.entry_strides, [2, 1, 1]);
}

#[test]
fn another_preset_leaves_the_scale_behind() {
    let arguments = TrainArgs {
        preset: Some("plain-shared".into()),
        data: Some("synthetic".into()),
        ..arguments("quick", &[])
    };
    let recipe = Recipe::resolve(&arguments).unwrap();
    assert_eq!(
        (recipe.model.preset.as_str(), recipe.model.scale, recipe.data.as_str()),
        ("plain-shared", None, "synthetic")
    );
}

#[test]
fn a_whole_table_can_be_replaced() {
    let sgd = "optimizer={ name = 'sgd', momentum = 0.9, nesterov = true, weight_decay = 5e-4, decays = 'weights' }";
    let recipe = Recipe::resolve(&arguments("quick", &[sgd])).unwrap();
    let expected = OptimizerConfig::Sgd {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 5e-4,
        decays: Decays::Weights,
    };
    assert_eq!(recipe.optimizer, expected);
}

#[test]
fn slips_are_named() {
    refused(&["epocs=3"], "unknown field `epocs`");
    refused(&["schedule.peek=3"], "unknown field `peek`");
    refused(&["optimizer.momentum=0.9"], "unknown field `momentum`");
    refused(&["model.scale.depth=3"], "unknown field `depth`");
    refused(&["epochs=0"], "epochs must be at least 1, got 0");
    refused(&["epochs=many"], "invalid type: string \"many\", expected u64");
    refused(&["epochs"], "--set epochs: expected KEY=VALUE");
    refused(&["=3"], "the key is empty");
    refused(&["epochs.first=3"], "'epochs' is a value, it has nothing inside");
    refused(&["schedule.peak=-1"], "schedule.peak must be above 0, got -1");
    refused(&["optimizer.beta1=1.0"], "optimizer.beta1 must be at least 0 and below 1, got 1");
    refused(&["optimizer.name=adagrad"], "unknown variant `adagrad`");
    // Another optimizer has other keys, and the recipe's own do not fit it.
    refused(&["optimizer.name=sgd"], "unknown field `beta1`");
    refused(&["label_smoothing=1.5"], "label_smoothing must be at least 0 and below 1, got 1.5");
    refused(&["normalization.std=[0.0, 1.0, 1.0]"], "normalization.std must be above 0, got 0");
    refused(&["model.preset=resnet"], "unknown preset 'resnet'");
    refused(&["model.preset=xception"], "model.scale is for preset cifar only");
}

#[test]
fn an_unknown_recipe_is_named() {
    let error = Recipe::resolve(&arguments("quik", &[])).unwrap_err().to_string();
    assert_eq!(error, "recipe quik: unknown; known are quick, notebook, or give a .toml file");
    let error = Recipe::resolve(&arguments("/nowhere/r.toml", &[])).unwrap_err().to_string();
    assert!(error.starts_with("recipe /nowhere/r.toml: cannot be read: "), "{error}");
}

#[test]
fn a_slip_in_a_file_shows_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let text = named("quick").unwrap().replace("epochs = ", "epoches = ");
    std::fs::write(&path, text).unwrap();
    let error = Recipe::resolve(&arguments(path.to_str().unwrap(), &[])).unwrap_err().to_string();
    assert!(error.contains("unknown field `epoches`") && error.contains("line "), "{error}");
}
