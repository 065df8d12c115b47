//! Folders as people have them: parts in any spelling, sets that grow, files that cannot be read.

use std::fs;
use std::path::Path;

use image::RgbImage;
use serde_json::Value;
use tempfile::TempDir;

use super::own_images::write_images;
use super::{Ended, SMALL, json, xception};

/// Trains the smallest network for an epoch or more, into `run`.
#[track_caller]
pub(super) fn train(folder: &Path, data: &str, epochs: &str) -> Ended {
    let epochs = format!("epochs={epochs}");
    let arguments = [
        "train",
        "--out",
        "run",
        "--data",
        data,
        "--set",
        SMALL,
        "--set",
        &epochs,
        "--set",
        "batch_size=16",
    ];
    let ended = xception(folder, &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended
}

#[track_caller]
fn says(text: &str, expected: &[&str]) {
    for expected in expected {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
}

fn document(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The number of images of `split` in the run's list.
fn listed(run: &Path, split: &str) -> usize {
    let list = fs::read_to_string(run.join("images.csv")).unwrap();
    list.lines().filter(|line| line.split(',').nth(2) == Some(split)).count()
}

#[test]
fn the_best_epoch_is_chosen_on_the_validation_set_and_the_test_set_is_reported() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    for (part, count) in [("Train", 60), ("Valid", 40), ("Testing", 20)] {
        write_images(&folder.join("shapes").join(part), count);
    }
    let ended = train(folder, "folder:shapes", "2");
    says(
        &ended.stderr,
        &[
            "the best epoch is chosen on the validation set (40 images), and the test set (20) is measured at the end",
            "60 training, 40 validation and 20 test images",
            "· validation loss ",
        ],
    );
    says(
        &ended.stdout,
        &[
            "confidence), 20 images",
            "after 2 epochs in ",
            "on the validation set, by which it was chosen; ",
            "% on the test set",
        ],
    );
    let run = folder.join("run");
    let results = document(&run.join("results.json"));
    assert_eq!(
        (&results["last"]["images"], &results["validation"]["images"]),
        (&20.into(), &40.into())
    );
    assert_eq!(results["best"]["test"]["images"], 20);
    assert_eq!(["train", "val", "test"].map(|split| listed(&run, split)), [60, 40, 20]);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    says(
        &page,
        &["test accuracy</h1>", "Best epoch, on the validation set", "Test accuracy of that epoch"],
    );
    let measure = |split: &str| {
        json(&xception(folder, &["eval", "--weights", "run", "--json", "--split", split]))["images"]
            .clone()
    };
    assert_eq!(["train", "val", "test", "all"].map(measure), [60, 40, 20, 120].map(Value::from));
}

#[test]
fn eval_measures_on_no_image_that_the_run_was_trained_on() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write_images(&folder.join("shapes"), 60);
    train(folder, "folder:shapes", "1");
    let test = listed(&folder.join("run"), "test");
    // More images, and others in the place of those that are there.
    write_images(&folder.join("shapes"), 150);
    let eval = |more: &[&str]| xception(folder, &[&["eval", "--weights", "run"], more].concat());
    let ended = eval(&["--json"]);
    let said = format!("measuring on the {test} test images of the run's own list");
    says(&ended.stderr, &[&said, "images.csv", "and 90 that it does not have are left out"]);
    assert_eq!(json(&ended)["images"], test);
    let ended = eval(&["--split", "all"]);
    says(&ended.stderr, &[&format!("{} of these images were trained on", 60 - test)]);
    // By another way to the same images, and where they were moved.
    fs::rename(folder.join("shapes"), folder.join("moved")).unwrap();
    assert_eq!(json(&eval(&["--data", "folder:moved", "--json"]))["images"], test);
    // Other images under the same names.
    for entry in walk(&folder.join("moved")) {
        RgbImage::from_pixel(40, 30, image::Rgb([9, 8, 7])).save(entry).unwrap();
    }
    let ended = eval(&["--data", "folder:moved", "--json"]);
    assert!(!ended.stderr.contains("own list"), "{}", ended.stderr);
}

/// The files below `folder`.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// A batch of one image, or the last one of an epoch, may have no other. A folder that is gone ends the run.
#[test]
fn batches_of_broken_images_are_skipped_up_to_a_limit() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let one_image = |out: &str| {
        let typed =
            format!("train --data folder:shapes --out {out} --set epochs=1 --set batch_size=1");
        let typed: Vec<&str> = typed.split(' ').chain(["--set", SMALL]).collect();
        xception(folder, &typed)
    };
    write_images(&folder.join("shapes/train"), 30);
    write_images(&folder.join("shapes/test"), 10);
    for number in [3, 4] {
        let path = format!("shapes/train/disc/broken{number}.png");
        fs::write(folder.join(path), "not an image").unwrap();
    }
    let ended = one_image("run");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("can be read: it is skipped").count(), 2, "{}", ended.stderr);
    for number in 0..200 {
        let path = format!("shapes/train/disc/gone{number}.png");
        fs::write(folder.join(path), "not an image").unwrap();
    }
    let ended = one_image("other");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    says(&ended.stderr, &["no image of the last 11 batches can be read"]);
}

#[test]
fn a_recipe_without_a_word_on_it_leaves_broken_images_out() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write_images(&folder.join("shapes"), 60);
    let disc = folder.join("shapes/disc");
    fs::write(disc.join("broken.png"), "not an image").unwrap();
    fs::write(disc.join("phone.heic"), "").unwrap();
    fs::copy(disc.join("000.png"), disc.join("other.jfif")).ok();
    let ended = train(folder, "folder:shapes", "1");
    says(
        &ended.stderr,
        &[
            "broken.png cannot be decoded",
            "1 file is no image by its name, and is ignored: .heic 1",
            "1 image cannot be read, and is in no figure; results.json names it",
        ],
    );
    let left_out = &document(&folder.join("run/results.json"))["left_out"];
    let count = |part: &str| left_out[part].as_array().unwrap().len();
    assert_eq!(count("train") + count("test"), 1, "{left_out}");
}
