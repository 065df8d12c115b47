//! Every recipe parses, builds and says where its figures come from; every slip is named.

use xception::Preset;

use super::*;
use crate::exit_code::ExitCode;
use crate::optim::optimizer::Decays;

fn arguments(recipe: &str, set: &[&str]) -> Request {
    Request {
        recipe: Some(recipe.to_string()),
        set: set.iter().map(ToString::to_string).collect(),
        ..Request::default()
    }
}

#[track_caller]
fn refused(set: &[&str], expected: &str) {
    let error = Recipe::resolve(&arguments("quick", set)).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Usage, "{error}");
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(named(name).is_some(), "{name} is not embedded");
    }
}

/// macOS writes é as two letters; Japanese has a space of its own.
#[test]
fn names_are_taken_as_they_are_typed() {
    let typed = "folder:cafe\u{301}/\u{3000}\"a\" \\ \u{1b}";
    let request = Request {
        data: Some(typed.to_string()),
        weights: Some("r\u{fa}\u{3000}n".to_string()),
        ..arguments("finetune", &[])
    };
    let recipe = Recipe::resolve(&request).unwrap();
    assert_eq!(recipe.data, typed);
    assert_eq!(recipe.transfer.unwrap().weights, "r\u{fa}\u{3000}n");
}

#[cfg(unix)]
#[test]
fn a_recipe_is_no_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("r.toml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = Recipe::resolve(&arguments(pipe.to_str().unwrap(), &[])).unwrap_err();
    assert!(format!("{:#}", anyhow::Error::from(error)).contains("and no file"));
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
    let arguments = Request {
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

/// Every optional table, and every optimizer and schedule with a table inside: they parse, and the recipe that a run
/// keeps says the same again.
#[test]
fn optional_tables_survive_being_written_out() {
    let adamw =
        "{ name='adamw', beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.05, decays='weights' }";
    let muon = format!(
        "optimizer={{ name='muon', momentum=0.95, nesterov=true, iterations=5, precision='auto', weight_decay=0.1, \
         others_learning_rate_factor=0.05, others={adamw} }}"
    );
    let rms_prop = "optimizer={ name='rmsprop', rho=0.9, momentum=0.9, eps=1, initial_mean_square=1, weight_decay=1e-5, \
                    decays='weights' }";
    let groups = "groups=[{ parameters='fc', learning_rate_factor=2, weight_decay_factor=0 }, \
                  { parameters='*.skipbn.*', learning_rate_factor=0.5, weight_decay_factor=1 }]";
    let exponential = "schedule={ name='exponential', learning_rate=0.02, factor=0.9, every={ samples=3000000 }, \
                       form='staircase' }";
    let first = [
        &muon,
        groups,
        exponential,
        "warmup={ length={ epochs=1 }, start=0.1 }",
        "clipping={ max_norm=1 }",
        "accumulation=4",
        "average={ name='ema', decay=0.9999, every=1, warmup='ramp' }",
    ];
    let second = [
        rms_prop,
        "schedule={ name='step', learning_rate=0.1, milestones=[3, 6.5], factor=0.1 }",
        "warmup={ length={ steps=500 }, start=0 }",
        "average={ name='polyak', from={ epochs=5 }, every=10 }",
    ];
    let third = ["schedule={ name='cosine', learning_rate=0.1, end=0 }"];
    let fourth = ["schedule={ name='linear', learning_rate=0.1, end=0.01 }"];
    for set in [&first[..], &second, &third, &fourth] {
        let recipe = Recipe::resolve(&arguments("quick", set)).unwrap();
        let again: Recipe = toml::from_str(&toml::to_string(&recipe).unwrap()).unwrap();
        assert_eq!(again, recipe);
    }
    let recipe = Recipe::resolve(&arguments("quick", &first)).unwrap();
    let expected = StepOptions {
        label_smoothing: 0.1,
        clipping: Some(Clipping { max_norm: 1.0 }),
        accumulation: 4,
    };
    assert_eq!(recipe.step_options(), expected);
    // Half of a warm-up over one epoch of ten steps, after 3,200,000 of the samples that the schedule counts.
    let position = Position { step: 5, steps: 100, steps_per_epoch: 10, batch_size: 640_000 };
    assert!((recipe.learning_rate(&position) - 0.55 * 0.02 * 0.9).abs() < 1e-12);
}

#[test]
fn slips_are_named() {
    refused(&["epocs=3"], "unknown field `epocs`");
    refused(&["schedule.peek=3"], "unknown field `peek`");
    refused(&["optimizer.momentum=0.9"], "unknown field `momentum`");
    refused(&["model.scale.depth=3"], "unknown field `depth`");
    refused(&["epochs=0"], "epochs must be at least 1, got 0");
    refused(
        &["epochs=many"],
        "invalid type: string \"many\", expected a whole number of 0 or more",
    );
    refused(&["epochs=99999999999999999999"], "99999999999999999999 is out of range: whole");
    refused(&["batch_size=1e3"], "expected a whole number of 0 or more");
    refused(&["non_finite={ action = 'stop', nope = 1 }"], "unknown field `nope`");
    refused(&["epochs"], "--set epochs: expected KEY=VALUE");
    refused(&["=3"], "the key is empty");
    refused(&["epochs.first=3"], "'epochs' is a value, it has nothing inside");
    refused(&["schedule.peak=-1"], "schedule.peak must be above 0, got -1");
    refused(&["optimizer.beta1=1.0"], "optimizer.beta1 must be at least 0 and below 1, got 1");
    refused(&["optimizer.name=adagrad"], "unknown variant `adagrad`");
    // Another optimizer has other keys, and the recipe's own do not fit it.
    refused(&["optimizer.name=sgd"], "unknown field `beta1`");
    refused(&["accumulation=0"], "accumulation must be at least 1, got 0");
    refused(
        &["accumulation=3"],
        "accumulation must be a divisor of batch_size, which is 128, got 3",
    );
    refused(&["clipping.max_norm=0.0"], "clipping.max_norm must be above 0, got 0");
    refused(&["clipping.norm=1.0"], "unknown field `norm`");
    refused(&["warmup={ length={ weeks=1 }, start=0.1 }"], "unknown variant `weeks`");
    refused(
        &["warmup={ length={ steps=0 }, start=0.1 }"],
        "warmup.length.steps must be above 0, got 0",
    );
    let group = "groups=[{ parameters='fc', learning_rate_factor=-1.0, weight_decay_factor=1.0 }]";
    refused(&[group], "groups[0].learning_rate_factor must be 0 or more, got -1");
    refused(&["average={ name='swa' }"], "unknown variant `swa`, expected `ema` or `polyak`");
    let average = "average={ name='ema', decay=1.0, every=1, warmup='none' }";
    refused(&[average], "average.decay must be at least 0 and below 1, got 1");
    let schedule = "schedule={ name='step', learning_rate=0.1, milestones=[], factor=0.1 }";
    refused(&[schedule], "schedule.milestones must be epochs above 0 in ascending order, got []");
    refused(&["label_smoothing=1.5"], "label_smoothing must be at least 0 and below 1, got 1.5");
    refused(&["normalization.std=[0.0, 1.0, 1.0]"], "normalization.std must be above 0, got 0");
    refused(&["model.preset=resnet"], "unknown preset 'resnet'");
    refused(&["model.preset=xception"], "model.scale is for preset cifar only");
}

#[test]
fn an_unknown_recipe_is_named() {
    let error = Recipe::resolve(&arguments("quik", &[])).unwrap_err().to_string();
    let expected = "recipe quik: unknown (did you mean 'quick'?); known are quick, notebook, cifar10-cpu, cifar10-best, cifar100-step, \
                    compare, finetune, paper-imagenet, paper-jft, or give a .toml file";
    assert_eq!(error, expected);
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
