//! Images with several labels: from a table to a classifier that lists every class that is there.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::own_images::write_images;
use super::{SMALL, json, xception, xception_well};

const TRAIN: [&str; 9] = [
    "train",
    "--data",
    "synthetic-multi",
    "--set",
    SMALL,
    "--set",
    "training_set.fraction=0.05",
    "--set",
    "schedule={ name = 'constant', learning_rate = 0.003 }",
];

fn document(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_run_has_figures_thresholds_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let more = ["--epochs", "2", "--set", "training_set.validation=0.1", "--out", "run"];
    let ended = xception_well(folder, &[&TRAIN[..], &more].concat());
    assert!(ended.stdout.contains("mean average precision: 0."), "{}", ended.stdout);
    assert!(ended.stdout.contains("Average precision by class"), "{}", ended.stdout);
    assert!(ended.stdout.contains("MAP@100"), "{}", ended.stdout);
    let run = folder.join("run");
    let last = &document(&run.join("results.json"))["last"];
    for key in ["mean_average_precision", "map_at_100", "micro_f1", "macro_f1", "exact"] {
        assert!((0.0..=1.0).contains(&last[key].as_f64().unwrap()), "{key}: {last}");
    }
    assert!(last.get("balanced_accuracy").is_none(), "{last}");
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    for part in [
        "mean average precision on the test set</h1>",
        "Classes that come together",
        "Drawn shapes, not CIFAR-10.",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("Confusion matrix") && !page.contains("Top-5"));
    let recipe = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(recipe.contains("loss = \"binary-cross-entropy\""), "{recipe}");
    assert!(recipe.contains("metric = \"mean-average-precision\""), "{recipe}");

    // eval answers from the thresholds in the file on, and has the figures of the run.
    let figures = json(&xception(
        folder,
        &["eval", "--weights", "run/last.safetensors", "--precision", "fp32", "--json"],
    ));
    for key in ["mean_average_precision", "micro_f1"] {
        let (own, of_run) = (figures[key].as_f64().unwrap(), last[key].as_f64().unwrap());
        assert!((own - of_run).abs() < 1e-6, "{key} {own} {of_run}");
    }
    let classes = figures["classes"].as_array().unwrap();
    assert!(classes.iter().any(|class| class["threshold"] != 0.5), "chosen on the validation set");

    // The rows of predictions.csv are these answers.
    let table = fs::read_to_string(run.join("predictions.csv")).unwrap();
    let exact = table.lines().skip(1).filter(|line| line.split(',').nth(3) == Some("1")).count();
    let images = last["images"].as_f64().unwrap();
    assert!((exact as f64 / images - last["exact"].as_f64().unwrap()).abs() < 1e-9);
}

#[test]
fn an_extended_run_is_the_one_that_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mixed = ["--set", "augmentation.mix={ name = 'mixup', alpha = 1.0 }", "--quiet"];
    let loss = ["--set", "multi_label.loss={ focal = 2.0 }", "--set", "label_smoothing=0.1"];
    for (epochs, out) in [("1", "short"), ("2", "long")] {
        let length = ["--epochs", epochs, "--out", out];
        xception_well(folder, &[&TRAIN[..], &mixed, &loss, &length].concat());
    }
    xception_well(folder, &["train", "--resume", "short", "--extend", "2", "--quiet"]);
    let weights = |run: &str| fs::read(folder.join(run).join("last.safetensors")).unwrap();
    assert!(weights("short") == weights("long"), "other weights");
}

#[test]
fn a_table_with_several_labels_becomes_a_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_images(&folder.join("shapes"), 60);
    let mut table = "file,tags\n".to_string();
    for (number, class) in ["disc", "ring", "x"].iter().enumerate() {
        for entry in fs::read_dir(folder.join("shapes").join(class)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let extra = if number == 1 { "|round" } else { "" };
            table += &format!("shapes/{class}/{name},{class}{extra}\n");
        }
    }
    fs::write(folder.join("tags.csv"), table).unwrap();
    let train = ["train", "--data", "csv:tags.csv?label=tags&separator=|", "--set", SMALL];
    let rest = ["--epochs", "1", "--batch-size", "4", "--input", "32", "--out", "run"];
    xception_well(folder, &[&train[..], &rest].concat());
    let image = fs::read_dir(folder.join("shapes/ring")).unwrap().next().unwrap().unwrap().path();
    let image = image.display().to_string();
    let predict = ["predict", "--weights", "run", "--precision", "fp32", "--json", &image];
    let answers = json(&xception(folder, &[&predict[..], &["--threshold", "0"]].concat()));
    let top = answers[0]["top"].as_array().unwrap();
    assert_eq!(top.len(), 4, "disc, ring, round and x: {answers}");
    let sum: f64 = top.iter().map(|class| class["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() > 1e-3, "each class has a probability of its own: {answers}");
    let above = json(&xception(folder, &predict));
    let listed = above[0]["top"].as_array().unwrap();
    assert!(listed.iter().all(|class| class["probability"].as_f64().unwrap() >= 0.5), "{above}");
}

#[test]
fn what_is_for_one_label_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refused = |arguments: &[&str], code: i32, expected: &str| {
        let ended = xception(folder, arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{arguments:?}: {}", ended.stderr);
    };
    let with = |more: &[&'static str]| [&TRAIN[..], more].concat();
    refused(
        &with(&["--set", "imbalance.loss_weights=inverse-frequency"]),
        2,
        "imbalance must be absent where images have several labels",
    );
    refused(
        &with(&["--set", "selection.metric=balanced-accuracy"]),
        2,
        "selection.metric must be mean-average-precision, top1 or loss",
    );
    refused(
        &["train", "--data", "synthetic", "--set", "multi_label.positive_weights=balanced"],
        2,
        "multi_label must be absent where each image has one label",
    );
    refused(
        &["train", "--data", "synthetic", "--set", "multi_label.loss={ focal = 11.0 }"],
        2,
        "multi_label.loss.focal must be 0 to 10, got 11",
    );
    xception_well(folder, &with(&["--epochs", "1", "--out", "run", "--quiet"]));
    refused(
        &["eval", "--weights", "run", "--data", "synthetic"],
        2,
        "synthetic has one label an image, and",
    );
}
