//! Runs that end before their time, and runs that are extended after it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{SMALL, xception, xception_well};

/// A small network on a tenth of the drawn shapes.
const TRAIN: [&str; 8] = [
    "train",
    "--data",
    "synthetic",
    "--set",
    SMALL,
    "--set",
    "training_set.fraction=0.1",
    "--quiet",
];

fn results(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("results.json")).unwrap()).unwrap()
}

#[test]
fn a_run_without_improvement_ends_and_can_be_extended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // No step is an improvement of 200 %.
    let stops = ["--epochs", "6", "--set", "early_stopping.patience=2", "--set"];
    let margin = ["early_stopping.min_improvement=2.0", "--out", "run"];
    let ended = xception_well(folder, &[&TRAIN[..7], &stops, &margin].concat());
    let said = "no better accuracy in 2 epochs: the run ends here";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let run = folder.join("run");
    assert_eq!(results(&run)["epochs"], 3);
    let rows = fs::read_to_string(run.join("predictions.csv")).unwrap();
    assert_eq!(rows.lines().count(), 1 + 2000, "every answer of the epoch that was the last");

    // Once more, it is found finished.
    let again = xception_well(folder, &["train", "--resume", "run"]);
    assert!(again.stderr.contains(said), "{}", again.stderr);
    assert_eq!(results(&run)["epochs"], 3);

    xception_well(folder, &["train", "--resume", "run", "--extend", "epochs=8", "--quiet"]);
    assert_eq!(results(&run)["epochs"], 5, "with the same patience again");
    let recipe = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(recipe.contains("epochs = 8\n"), "{recipe}");
}

#[test]
fn an_extended_run_is_the_one_that_was_meant_to_be_longer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // At a constant rate no step depends on the number of epochs.
    let constant = ["--set", "schedule={ name = 'constant', learning_rate = 0.002 }"];
    let train = |epochs, out| {
        let arguments = [&TRAIN[..], &constant, &["--epochs", epochs, "--out", out]].concat();
        xception_well(folder, &arguments)
    };
    train("2", "short");
    train("3", "long");
    xception_well(folder, &["train", "--resume", "short", "--extend", "3", "--quiet"]);
    let weights = |run: &str| fs::read(folder.join(run).join("last.safetensors")).unwrap();
    assert!(weights("short") == weights("long"), "other weights");

    for (epochs, expected) in [
        ("3", "--extend 3 is no more than the 3 epochs that the run has"),
        ("more", "'more' is no number of epochs"),
    ] {
        let ended = xception(folder, &["train", "--resume", "short", "--extend", epochs]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
    let ended = xception(folder, &["train", "--resume", "short", "--epochs", "9"]);
    assert!(ended.stderr.contains("epochs: it was 3, now it is 9"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--extend trains this one longer"), "{}", ended.stderr);
}

#[test]
fn the_learning_rate_goes_down_on_a_plateau() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plateau = "schedule={ name = 'plateau', learning_rate = 0.002, factor = 0.1, patience = 1, min_improvement = \
                   2.0, end = 0.05 }";
    let arguments = [&TRAIN[..7], &["--epochs", "4", "--set", plateau, "--out", "run"]].concat();
    let ended = xception_well(folder, &arguments);
    assert!(ended.stderr.contains("the learning rate goes down to 2.000e-4"), "{}", ended.stderr);
    let metrics = fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap();
    let rates: Vec<f64> = metrics
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["lr"].as_f64())
        .collect();
    let mut distinct = rates.clone();
    distinct.dedup();
    let expected = [2e-3, 2e-4, 1e-4];
    assert_eq!(distinct.len(), 3, "{distinct:?}");
    assert!(distinct.iter().zip(expected).all(|(own, rate)| (own / rate - 1.0).abs() < 1e-9));
}

#[test]
fn the_best_epoch_is_chosen_on_images_that_are_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let held = ["--set", "training_set.validation=0.2", "--set", "selection.metric=loss"];
    let rest = ["--epochs", "2", "--lr", "0.003", "--out", "run"];
    let ended = xception_well(folder, &[&TRAIN[..7], &held, &rest].concat());
    let said = "of 10000 training images are held out to choose the best epoch";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let results = results(&folder.join("run"));
    assert!(results["validation"]["top1"].is_number(), "{results}");
    assert!(results["best"]["test"]["top1"].is_number(), "{results}");
    let recipe = fs::read_to_string(folder.join("run/config.toml")).unwrap();
    assert!(recipe.contains("peak = 0.003"), "{recipe}");
    assert!(recipe.contains("metric = \"loss\""), "{recipe}");
    let metrics = fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap();
    let losses: Vec<f64> = metrics
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["val/loss"].as_f64())
        .collect();
    let best = if losses[1] < losses[0] { 2 } else { 1 };
    assert_eq!(results["best"]["epoch"], best, "{losses:?}");
}

#[test]
fn a_time_becomes_a_number_of_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    super::own_images::write_images(&folder.join("shapes"), 40);
    let few = ["train", "--data", "folder:shapes", "--set", SMALL, "--batch-size", "8"];
    let ended =
        xception_well(folder, &[&few[..], &["--time-limit", "5s", "--out", "run"]].concat());
    assert!(ended.stderr.contains("--time-limit: an epoch takes about"), "{}", ended.stderr);
    let results = results(&folder.join("run"));
    let (epochs, seconds) =
        (results["epochs"].as_u64().unwrap(), results["seconds"].as_f64().unwrap());
    assert!(epochs >= 1 && seconds < 60.0, "{epochs} epochs in {seconds} s");
    let recipe = fs::read_to_string(folder.join("run/config.toml")).unwrap();
    assert!(recipe.contains(&format!("epochs = {epochs}\n")), "{recipe}");

    for (time, expected) in
        [("1ms", "'1ms' is no duration"), ("0.01s", "is too short: an epoch takes about")]
    {
        let arguments = [&few[..], &["--time-limit", time, "--out", "other"]].concat();
        let ended = xception(folder, &arguments);
        assert_eq!(ended.code, Some(2), "{time}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{time}: {}", ended.stderr);
        assert!(!folder.join("other").exists(), "nothing is left");
    }
}

#[test]
fn the_search_for_a_learning_rate_leaves_nothing_but_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let search = ["lr", "--data", "synthetic", "--set", SMALL, "--steps", "40", "--quiet"];
    let ended = xception_well(folder, &[&search[..], &["--json", "-o", "lr.html"]].concat());
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    let rates: Vec<f64> = found["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["learning_rate"].as_f64().unwrap())
        .collect();
    assert!(rates.len() > 10 && rates.windows(2).all(|pair| pair[1] > pair[0]), "{rates:?}");
    assert!(found["steps"][0]["loss"].as_f64().unwrap() > 1.0, "{found}");
    let names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["lr.html"]);

    let refused = xception(folder, &[&search[..], &["--from", "1", "--to", "0.1"]].concat());
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("must rise"), "{}", refused.stderr);
}

#[test]
fn every_image_is_answered_by_a_network_that_did_not_see_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    super::own_images::write_images(&folder.join("shapes"), 60);
    let cv = ["cv", "--data", "folder:shapes", "--set", SMALL, "--folds", "3", "--epochs", "1"];
    let arguments = [&cv[..], &["--batch-size", "8", "--out", "cv", "--quiet"]].concat();
    let ended = xception_well(folder, &arguments);
    assert!(ended.stdout.contains("3 runs, each measured on images"), "{}", ended.stdout);
    let read = |name: &str| fs::read_to_string(folder.join("cv").join(name)).unwrap();
    let table = read("predictions.csv");
    let mut images: Vec<&str> =
        table.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    images.sort_unstable();
    images.dedup();
    assert_eq!((images.len(), table.lines().count()), (60, 61));
    let document: Value = serde_json::from_str(&read("cv.json")).unwrap();
    let values = document["figures"]["accuracy"]["values"].as_array().unwrap();
    let mean = values.iter().map(|value| value.as_f64().unwrap()).sum::<f64>() / 3.0;
    assert!((document["figures"]["accuracy"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
    assert!(read("comparison.html").contains("accuracy in 3 folds</h1>"));

    // Once more, it reads what it has.
    let again = xception_well(folder, &arguments);
    assert_eq!(again.stdout, ended.stdout);
}
