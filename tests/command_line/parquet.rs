//! Parquet files as Hugging Face's `datasets` writes them: from `parquet:DIR` to a run, its evaluation and its predictions.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::folders::train;
use super::{json, xception};

/// The 60 drawn shapes of `crates/datasets/tests/files/make.py`, as the training set in `root`.
fn shapes(root: &Path) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = file.join("../crates/datasets/tests/files/shapes.parquet");
    fs::create_dir_all(root.join("data")).unwrap();
    fs::copy(file, root.join("data/train-00000-of-00001.parquet")).unwrap();
}

#[test]
fn a_folder_of_the_hub_is_trained_on_and_measured_by_its_list() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    shapes(&folder.join("shapes"));
    let ended = train(folder, "parquet:shapes", "1");
    assert!(ended.stderr.contains("copied into a temporary file in "), "{}", ended.stderr);
    let list = fs::read_to_string(folder.join("run/images.csv")).unwrap();
    assert_eq!(list.lines().count(), 61, "{list}");
    assert!(list.contains("data/train-00000-of-00001.parquet/7#85728170bfed,square,t"), "{list}");
    let held = list.lines().filter(|line| line.contains(",test,")).count();
    // The folder may move.
    fs::rename(folder.join("shapes"), folder.join("moved")).unwrap();
    let data = ["eval", "--weights", "run", "--json", "--data", "parquet:moved"];
    let measured = xception(folder, &data);
    assert!(measured.stderr.contains("the run's own list"), "{}", measured.stderr);
    assert_eq!(json(&measured)["images"], held);
    image::RgbImage::new(9, 9).save(folder.join("new.png")).unwrap();
    let predicted = xception(folder, &["predict", "--weights", "run", "new.png"]);
    assert_eq!(predicted.code, Some(0), "{}", predicted.stderr);
    assert!(["circle", "square", "cross"].iter().any(|class| predicted.stdout.contains(class)));
}

#[test]
fn what_is_no_set_of_parquet_files_is_refused() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    shapes(&folder.join("shapes"));
    fs::write(folder.join("text.parquet"), "image,label\n").unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    for (data, code, expected) in [
        ("parquet:none", 3, "parquet:none: "),
        ("parquet:empty", 3, "holds no Parquet files (.parquet)"),
        ("parquet:text.parquet", 3, "it is no Parquet file"),
        ("parquet:shapes?label=kind", 3, "there is no column 'kind'; it has image, label"),
        ("parquet:shapes?lable=x", 2, "there is no 'lable' (did you mean 'label'?)"),
        ("parquet:shapes?labels=x", 2, "several labels for an image are read from tables"),
        ("text.parquet", 2, "(did you mean 'parquet:text.parquet'?)"),
    ] {
        let refused = xception(folder, &["train", "--out", "run", "--data", data]);
        assert_eq!(refused.code, Some(code), "{data}: {}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{data}: {}", refused.stderr);
        assert!(!folder.join("run").exists(), "{data}");
    }
}

#[test]
fn a_set_of_parquet_files_is_checked() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    shapes(folder);
    let document = json(&xception(folder, &["check", "parquet:data", "--side", "0", "--json"]));
    assert_eq!(document["classes"].as_array().map(Vec::len), Some(3), "{document}");
}
