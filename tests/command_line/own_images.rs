//! From a folder of images to a classifier, to what it looks at, and to other programs.

use std::fs;
use std::path::Path;

use datasets::{Split, synthetic};
use image::RgbImage;
use serde_json::Value;
use tch::{CModule, Kind, Tensor};
use xception::weights::{self, Description};

use super::{SMALL, json, xception};

/// `count` drawn shapes as PNG files under `root`, a folder for each of their ten classes.
pub(super) fn write_images(root: &Path, count: usize) {
    let images = synthetic::images(Split::Train, count, 32, 0).unwrap();
    for index in 0..count {
        let folder = root.join(&images.class_names()[images.labels()[index] as usize]);
        fs::create_dir_all(&folder).unwrap();
        let pixels = images.image(index).as_flattened().to_vec();
        RgbImage::from_raw(32, 32, pixels)
            .unwrap()
            .save(folder.join(format!("{index:03}.png")))
            .unwrap();
    }
}

/// Runs a command that must end well; what it printed on stderr.
#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> String {
    let ended = xception(folder, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended.stderr
}

#[test]
fn a_folder_of_images_becomes_a_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_images(&folder.join("shapes"), 100);
    fs::write(folder.join("shapes/notes.txt"), "not an image").unwrap();

    let small = ["--set", SMALL, "--set", "epochs=1", "--set", "batch_size=16"];
    let data = ["--data", "folder:shapes"];
    let said = run(folder, &[&["train", "--out", "first"][..], &data, &small].concat());
    for expected in
        ["no test set there: 20 % of every class are held back", "squares of 32 pixels", "1 files"]
    {
        assert!(said.contains(expected), "{said}");
    }

    // Other images of the same classes, one of them broken, and the network of before.
    fs::write(folder.join("shapes/disc/broken.png"), "not an image").unwrap();
    let tuned = ["train", "--recipe", "finetune", "--weights", "first", "--out", "tuned"];
    let brief = ["--set", "epochs=3", "--set", "log_every=1"];
    let said = run(folder, &[&tuned[..], &data, &brief].concat());
    assert!(said.contains("broken.png cannot be decoded"), "{said}");
    let config = fs::read_to_string(folder.join("tuned/config.toml")).unwrap();
    assert!(config.contains("width = 0.05"), "the network is the weights': {config}");
    assert!(config.contains("side = 32"), "so is the size of the images: {config}");
    frozen_parts_stay(folder);

    assert_eq!(said.matches("broken.png cannot be decoded").count(), 1, "once is enough: {said}");
    let results: Value =
        serde_json::from_slice(&fs::read(folder.join("tuned/results.json")).unwrap()).unwrap();
    let left_out = results["left_out"]["train"].as_array().unwrap().iter();
    let left_out: Vec<&Value> =
        left_out.chain(results["left_out"]["test"].as_array().unwrap()).collect();
    assert!(left_out[0].as_str().unwrap().ends_with("disc/broken.png") && left_out.len() == 1);
    let report = fs::read_to_string(folder.join("tuned/report.html")).unwrap();
    assert!(report.contains("Images that cannot be read.") && report.contains("disc/broken.png"));

    check_refusals(folder, &[&tuned[1..5], &data, &brief].concat());
    check_measuring(folder);
    check_exports(folder);
    check_explanation(folder);
}

/// What cannot be meant is refused, and leaves no folder that looks like a run.
fn check_refusals(folder: &Path, tune: &[&str]) {
    let refused = |arguments: &[&str], code: i32, expected: &str| {
        let ended = xception(folder, &[&["train", "--out", "refused"], tune, arguments].concat());
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{expected:?}: {}", ended.stderr);
        assert!(!folder.join("refused").exists(), "{arguments:?} leaves a folder");
    };
    refused(&["--set", "input.broken=refuse"], 3, "broken.png cannot be decoded");
    refused(&["--preset", "xception"], 2, "holds weights of preset 'cifar'");
    fs::create_dir(folder.join("shapes/zebra")).unwrap();
    fs::write(folder.join("shapes/zebra/1.png"), "no").unwrap();
    fs::write(folder.join("shapes/zebra/2.png"), "").unwrap();
    refused(&[], 3, "not one of the 1 training images of class 'zebra' can be read");
    for number in [1, 2] {
        RgbImage::new(3, 3).save(folder.join(format!("shapes/zebra/{number}.png"))).unwrap();
    }
    refused(&["--set", "transfer.head=kept"], 2, "tells other classes apart");
    fs::remove_dir_all(folder.join("shapes/zebra")).unwrap();
}

/// Classes go by their names, whatever else a folder holds or lacks.
fn check_measuring(folder: &Path) {
    let measure = |more: &[&str]| {
        xception(folder, &[&["eval", "--weights", "tuned", "--json"], more].concat())
    };
    let of = |document: &Value, class: &str| {
        let classes = document["classes"].as_array().unwrap().iter();
        classes.clone().find(|found| found["name"] == class).unwrap().clone()
    };
    let whole = json(&measure(&["--split", "all"]));
    let parts = ["test", "train"].map(|part| json(&measure(&["--split", part]))["images"].as_u64());
    assert_eq!(whole["images"].as_u64(), parts.into_iter().sum::<Option<u64>>());
    assert_eq!(whole["images"], 100, "all but the broken one");
    assert!(whole["left_out"][0].as_str().unwrap().ends_with("broken.png"));

    let classes: Vec<String> = whole["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| class["name"].as_str().unwrap().to_string())
        .collect();
    let (one, other) = (&classes[8], &classes[3]);
    for class in [one, other] {
        fs::create_dir_all(folder.join("some")).unwrap();
        fs::rename(folder.join("shapes").join(class), folder.join("some").join(class)).unwrap();
    }
    let some = json(&measure(&["--data", "folder:some", "--split", "all"]));
    for class in [one, other] {
        let recall = |document: &Value| {
            (of(document, class)["recall"].clone(), of(document, class)["images"].clone())
        };
        assert_eq!(recall(&some), recall(&whole), "{class}");
    }
    fs::rename(folder.join("some").join(one), folder.join("some/unicorn")).unwrap();
    let refused = measure(&["--data", "folder:some"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("1 of the 2 classes are unknown to"), "{}", refused.stderr);
    assert!(refused.stderr.contains("unicorn"), "{}", refused.stderr);
    fs::rename(folder.join("some/unicorn"), folder.join("shapes").join(one)).unwrap();
    fs::rename(folder.join("some").join(other), folder.join("shapes").join(other)).unwrap();
}

/// Fine-tuning leaves the statistics as they came, and moves the kernels behind the head in the end.
fn frozen_parts_stay(folder: &Path) {
    let read = |run: &str| weights::read(&folder.join(run).join("last.safetensors")).unwrap().0;
    let (before, after) = (read("first"), read("tuned"));
    for (name, tensor) in &before {
        let same = tensor.equal(&after[name]);
        assert_eq!(same, name.contains("running_"), "{name}");
    }
}

/// TorchScript answers in libtorch as `predict` does; ONNX says what it takes (`cargo xtask check-weights` runs it).
fn check_exports(folder: &Path) {
    let image = some_image(folder);
    run(folder, &["export", "--weights", "tuned", "--out", "tuned.pt"]);
    let predicted = json(&xception(
        folder,
        &["predict", "--weights", "tuned", "--precision", "fp32", "--json", &image],
    ));
    let file = folder.join("tuned/last.safetensors");
    let metadata = weights::read(&file).unwrap().1;
    let Description { mean, std, .. } =
        Description::from_metadata(&file, &metadata).unwrap().unwrap();
    let pixels = image::open(folder.join(&image)).unwrap().into_rgb8();
    let image = Tensor::from_slice(pixels.as_raw()).view([1, 32, 32, 3]).permute([0, 3, 1, 2]);
    let constants =
        |values: [f64; 3]| Tensor::from_slice(&values.map(|value| value as f32)).view([1, 3, 1, 1]);
    let image = (image.to_kind(Kind::Float) / 255.0 - constants(mean)) / constants(std);
    let module = CModule::load(folder.join("tuned.pt")).unwrap();
    let probabilities = module.forward_ts(&[image]).unwrap().softmax(-1, Kind::Double);
    for top in predicted[0]["top"].as_array().unwrap() {
        let expected = top["probability"].as_f64().unwrap();
        let class = top["class"].as_i64().unwrap();
        let found = probabilities.double_value(&[0, class]);
        assert!((found - expected).abs() < 1e-5, "class {class}: {found}, predicted {expected}");
    }

    run(folder, &["export", "--weights", "tuned", "--out", "tuned.onnx"]);
    let onnx = fs::read(folder.join("tuned.onnx")).unwrap();
    for word in ["images", "logits", "class_names", "GlobalAveragePool"] {
        assert!(onnx.windows(word.len()).any(|bytes| bytes == word.as_bytes()), "no {word}");
    }
    let refused = xception(folder, &["export", "--weights", "tuned", "--out", "tuned.bin"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("end it in .onnx or .pt"), "{}", refused.stderr);
}

fn check_explanation(folder: &Path) {
    let image = some_image(folder);
    let explain = ["explain", "--weights", "tuned", "--out", "maps", "--json", &image];
    let document: Value = json(&xception(folder, &explain));
    let drawn = folder.join(document[0]["image"].as_str().unwrap());
    let drawn = image::open(drawn).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (256, 256), "eight for each of 32");
    let refused = xception(folder, &[&explain[..3], &["--class", "unicorn", &image]].concat());
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("there is no class unicorn"), "{}", refused.stderr);
}

/// The path of an image of circles, from `folder`.
fn some_image(folder: &Path) -> String {
    let mut names: Vec<String> = fs::read_dir(folder.join("shapes/disc"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "broken.png")
        .collect();
    names.sort();
    format!("shapes/disc/{}", names[0])
}

#[test]
fn a_study_trains_every_variant_and_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_images(&folder.join("shapes"), 60);
    let ablate = [
        "ablate",
        "shortcuts",
        "--seeds",
        "2",
        "--data",
        "folder:shapes",
        "--set",
        SMALL,
        "--set",
        "epochs=1",
        "--set",
        "batch_size=16",
        "--out",
        "study",
        "--json",
    ];
    let document = json(&xception(folder, &ablate));
    let variants = document["variants"].as_array().unwrap();
    assert_eq!(variants.len(), 2);
    assert!(variants.iter().all(|variant| variant["top1"].as_array().unwrap().len() == 2));
    assert!(variants[0]["parameters"].as_u64() > variants[1]["parameters"].as_u64());
    assert!(folder.join("study/comparison.html").is_file());
    // What is there already is not trained again.
    fs::remove_dir_all(folder.join("study/without-shortcuts-1")).unwrap();
    let kept = fs::read(folder.join("study/with-shortcuts-0/results.json")).unwrap();
    assert_eq!(json(&xception(folder, &ablate))["variants"].as_array().unwrap().len(), 2);
    assert_eq!(fs::read(folder.join("study/with-shortcuts-0/results.json")).unwrap(), kept);
    assert!(folder.join("study/without-shortcuts-1/results.json").is_file());
}
