//! Classes of which one has far fewer images than the others: what a run says of them, and what it can do for them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::own_images::write_images;
use super::{Ended, SMALL, json, xception, xception_well};

/// Drawn shapes, of whose class `disc` all but four training images are gone.
fn write_rare(root: &Path) {
    write_images(&root.join("train"), 300);
    write_images(&root.join("test"), 100);
    let mut discs: Vec<_> =
        fs::read_dir(root.join("train/disc")).unwrap().map(|entry| entry.unwrap().path()).collect();
    discs.sort();
    discs.iter().skip(4).for_each(|path| fs::remove_file(path).unwrap());
}

const TRAIN: [&str; 12] = [
    "train",
    "--data",
    "folder:shapes",
    "--set",
    SMALL,
    "--epochs",
    "3",
    "--batch-size",
    "16",
    "--input",
    "32",
    "--quiet",
];

fn train(folder: &Path, out: &str, more: &[&str]) -> Ended {
    xception_well(folder, &[&TRAIN[..], &["--out", out], more].concat())
}

fn document(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_run_names_the_rare_class_that_it_misses_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rare(&folder.join("shapes"));
    let Ended { stdout, stderr, .. } = train(folder, "plain", &[]);
    assert!(stdout.contains("folder:"), "{stdout}");
    assert!(stdout.contains("weakest class: disc, 0 of 10 images found (0 %)"), "{stdout}");
    assert!(stdout.contains("balanced accuracy"), "{stdout}");
    assert!(stdout.contains("% with 95 % confidence), 100 images"), "{stdout}");
    let warning = "disc is found in 0.0 % of its images: it has 4 training images";
    assert!(stderr.contains(warning) && stderr.contains("imbalance.sampling=equal"), "{stderr}");
    let page = fs::read_to_string(folder.join("plain/report.html")).unwrap();
    assert!(page.contains("Rare classes are missed."), "the page warns");
    let last = &document(&folder.join("plain/results.json"))["last"];
    for key in ["balanced_accuracy", "macro_f1", "cohen_kappa", "matthews"] {
        assert!(last[key].is_number(), "{key}: {last}");
    }
    assert_eq!(last["commonest_class"]["top1"], 0.1);

    // A line for each test image, whose figures are those of the run.
    let table = fs::read_to_string(folder.join("plain/predictions.csv")).unwrap();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 1 + 100);
    assert_eq!(lines[0][..5], ["image", "label", "predicted", "correct", "probability"]);
    let hits = lines[1..].iter().filter(|line| line[3] == "1").count();
    assert_eq!(hits as f64 / 100.0, last["top1"].as_f64().unwrap());
    assert!(lines[1..].iter().all(|line| (line[1] == line[2]) == (line[3] == "1")));

    // The same figures from eval, with the areas of each class.
    let figures = json(&xception(
        folder,
        &["eval", "--weights", "plain/last.safetensors", "--data", "folder:shapes", "--json"],
    ));
    for key in ["balanced_accuracy", "macro_f1"] {
        let (own, of_run) = (figures[key].as_f64().unwrap(), last[key].as_f64().unwrap());
        assert!((own - of_run).abs() < 0.05, "{key} {own} {of_run}");
    }
    assert!(figures["classes"][0]["roc_auc"].is_number(), "{figures}");

    // And as a page of its own, which never takes the place of the run's.
    let eval = ["eval", "--weights", "plain", "--data", "folder:shapes", "--report"];
    xception_well(folder, &[&eval[..], &["looked"]].concat());
    let page = fs::read_to_string(folder.join("looked/report.html")).unwrap();
    for part in ["accuracy on folder:", "Always guessing", "<th scope=\"col\">AUC</th>"] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(
        fs::read_to_string(folder.join("looked/predictions.csv")).unwrap().lines().count(),
        101
    );
    assert!(folder.join("looked/evaluation.json").is_file());
    let refused = xception(folder, &[&eval[..], &["plain"]].concat());
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("plain is the folder of a run"), "{}", refused.stderr);
}

#[test]
fn two_classes_have_curves_for_every_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_images(&folder.join("all"), 100);
    for class in ["disc", "ring"] {
        fs::create_dir_all(folder.join("two")).unwrap();
        fs::rename(folder.join("all").join(class), folder.join("two").join(class)).unwrap();
    }
    let train =
        ["train", "--data", "folder:two", "--set", SMALL, "--epochs", "1", "--batch-size", "4"];
    let ended = xception_well(folder, &[&train[..], &["--out", "run", "--input", "32"]].concat());
    assert!(!ended.stdout.contains("top-5"), "{}", ended.stdout);
    let page = fs::read_to_string(folder.join("run/report.html")).unwrap();
    assert!(page.contains("ROC, area ") && page.contains("Precision by recall, area "));
    assert!(!page.contains("<dt>Top-5</dt>"));
}

#[test]
fn every_favour_trains_and_stands_in_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rare(&folder.join("shapes"));
    for (out, change, expected) in [
        ("equal", "imbalance.sampling=equal", "sampling = \"equal\""),
        ("root", "imbalance.sampling=square-root", "sampling = \"square-root\""),
        ("weights", "imbalance.loss_weights=inverse-frequency", "\"inverse-frequency\""),
        (
            "effective",
            "imbalance.loss_weights={ effective-number = 0.99 }",
            "effective-number = 0.99",
        ),
        ("logits", "imbalance.logit_adjustment=1.0", "logit_adjustment = 1.0"),
    ] {
        train(folder, out, &["--set", change]);
        let recipe = fs::read_to_string(folder.join(out).join("config.toml")).unwrap();
        let table = recipe.find("[imbalance").map_or("", |start| &recipe[start..]);
        assert!(table.contains(expected), "{recipe}");
    }
}

#[test]
fn favours_that_cannot_be_had_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (change, expected) in [
        ("imbalance.logit_adjustment=-1", "imbalance.logit_adjustment must be 0 to 10, got -1"),
        (
            "imbalance.loss_weights={ effective-number = 1.0 }",
            "effective-number must be at least 0 and below 1",
        ),
        ("imbalance.sampling=even", "even"),
        ("imbalance.power=2", "power"),
        ("training_set.validation=1.0", "training_set.validation must be at least 0 and below 1"),
        ("training_set.fraction=0.0", "training_set.fraction must be above 0 and at most 1"),
        ("early_stopping.patience=0", "early_stopping.patience must be at least 1"),
    ] {
        let ended = xception(folder.path(), &["train", "--data", "synthetic", "--set", change]);
        assert_eq!(ended.code, Some(2), "{change}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{change}: {}", ended.stderr);
    }
    let ended = xception(folder.path(), &["train", "--data", "synthetic", "--lr", "-1"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("schedule.peak must be above 0, got -1"), "{}", ended.stderr);
}
