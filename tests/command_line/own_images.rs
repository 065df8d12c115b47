//! From a folder of images to a classifier, to what it looks at, and to other programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use datasets::{Split, synthetic};
use image::RgbImage;
use serde_json::Value;
use tch::{CModule, Kind, Tensor};
use tempfile::TempDir;
use xception::weights::{self, Description};

use super::{SMALL, Shared, json, xception};

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

/// Runs a command that must end well; returns its stderr.
#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> String {
    let ended = xception(folder, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended.stderr
}

const DATA: [&str; 2] = ["--data", "folder:shapes"];
const TUNE: [&str; 8] =
    ["--recipe", "finetune", "--weights", "first", "--set", "epochs=3", "--set", "log_every=1"];

/// Images in `shapes`, a run on them in `first`, and in `tuned` one that continues from its weights.
pub(super) struct Classifier {
    folder: Shared,
    said_by_first: String,
    said_by_tuned: String,
}

impl Classifier {
    fn get() -> &'static Self {
        static CLASSIFIER: OnceLock<Classifier> = OnceLock::new();
        CLASSIFIER.get_or_init(|| {
            let (mut first, mut tuned) = (String::new(), String::new());
            let folder = Shared::new("classifier", |folder| {
                write_images(&folder.join("shapes"), 100);
                fs::write(folder.join("shapes/notes.txt"), "not an image").unwrap();
                let small = ["--set", SMALL, "--set", "epochs=1", "--set", "batch_size=16"];
                first = run(folder, &[&["train", "--out", "first"][..], &DATA, &small].concat());
                // Other images of the same classes, one of them broken.
                fs::write(folder.join("shapes/disc/broken.png"), "not an image").unwrap();
                tuned = run(folder, &[&["train", "--out", "tuned"][..], &DATA, &TUNE].concat());
            });
            Self { folder, said_by_first: first, said_by_tuned: tuned }
        })
    }

    fn path(&self) -> &Path {
        &self.folder.path
    }

    /// A copy that a test may change.
    pub(super) fn copied() -> TempDir {
        let folder = TempDir::new().unwrap();
        copy(Self::get().path(), folder.path());
        folder
    }
}

/// The folder of a run of a small network.
pub(super) fn first_run() -> PathBuf {
    Classifier::get().path().join("first")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_folder_of_images_is_split_and_its_images_set_the_size() {
    let said = &Classifier::get().said_by_first;
    for expected in [
        "no test set there: about 20 % of every class are held back",
        "squares of 32 pixels",
        "1 file is no",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn fine_tuning_takes_network_and_size_from_the_weights() {
    let folder = Classifier::get().path();
    let config = fs::read_to_string(folder.join("tuned/config.toml")).unwrap();
    assert!(config.contains("width = 0.05"), "the network is the weights': {config}");
    assert!(config.contains("side = 32"), "so is the size of the images: {config}");
}

/// Fine-tuning leaves the statistics as they came, and changes the kernels below the head in its last epoch.
#[test]
fn fine_tuning_leaves_frozen_parts_alone() {
    let read = |run: &str| {
        weights::read(&Classifier::get().path().join(run).join("last.safetensors")).unwrap().0
    };
    let (before, after) = (read("first"), read("tuned"));
    for (name, tensor) in &before {
        let same = tensor.equal(&after[name]);
        assert_eq!(same, name.contains("running_"), "{name}");
    }
}

#[test]
fn a_broken_image_is_named_once_and_left_out() {
    let Classifier { said_by_tuned: said, .. } = Classifier::get();
    assert_eq!(said.matches("broken.png cannot be decoded").count(), 1, "once is enough: {said}");
    let folder = Classifier::get().path();
    let results: Value =
        serde_json::from_slice(&fs::read(folder.join("tuned/results.json")).unwrap()).unwrap();
    let left_out = results["left_out"]["train"].as_array().unwrap().iter();
    let left_out: Vec<&Value> =
        left_out.chain(results["left_out"]["test"].as_array().unwrap()).collect();
    assert!(left_out[0].as_str().unwrap().ends_with("disc/broken.png") && left_out.len() == 1);
    let report = fs::read_to_string(folder.join("tuned/report.html")).unwrap();
    assert!(report.contains("Images that cannot be read.") && report.contains("disc/broken.png"));
    // Resuming a finished run measures it again, and reads no image to train on.
    let folder = Classifier::copied();
    let again = xception(folder.path(), &["train", "--resume", "tuned"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let text = fs::read(folder.path().join("tuned/results.json")).unwrap();
    let again: Value = serde_json::from_slice(&text).unwrap();
    let named = ["train", "test"].map(|part| again["left_out"][part].as_array().unwrap().len());
    assert_eq!(named.iter().sum::<usize>(), 1, "{}", again["left_out"]);
}

/// Fine-tuning with `arguments` is refused, and leaves no folder that looks like a run.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str], code: i32, expected: &str) {
    let tune = [&["train", "--out", "refused"], &DATA[..], &TUNE, arguments].concat();
    let ended = xception(folder, &tune);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
    assert!(ended.stderr.contains(expected), "{expected:?}: {}", ended.stderr);
    assert!(!folder.join("refused").exists(), "{arguments:?} leaves a folder");
}

#[test]
fn a_broken_image_may_be_refused() {
    let broken = ["--set", "input.broken=refuse"];
    refused(Classifier::get().path(), &broken, 3, "broken.png cannot be decoded");
}

#[test]
fn another_preset_than_that_of_the_weights_is_refused() {
    let other = ["--preset", "xception"];
    refused(Classifier::get().path(), &other, 2, "holds weights of preset 'cifar'");
}

#[test]
fn a_class_without_a_readable_image_is_refused() {
    let folder = Classifier::copied();
    let zebra = folder.path().join("shapes/zebra");
    fs::create_dir(&zebra).unwrap();
    fs::write(zebra.join("1.png"), "no").unwrap();
    fs::write(zebra.join("2.png"), "").unwrap();
    let expected = "not one of the 1 training images of class 'zebra' can be read";
    refused(folder.path(), &[], 3, expected);
}

#[test]
fn a_head_of_other_classes_cannot_be_kept() {
    let folder = Classifier::copied();
    let zebra = folder.path().join("shapes/zebra");
    fs::create_dir(&zebra).unwrap();
    for number in [1, 2] {
        RgbImage::new(3, 3).save(zebra.join(format!("{number}.png"))).unwrap();
    }
    refused(folder.path(), &["--set", "transfer.head=kept"], 2, "tells other classes apart");
}

/// Whatever else a folder holds or lacks.
#[test]
fn eval_goes_by_the_names_of_classes() {
    let folder = Classifier::copied();
    let folder = folder.path();
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

#[test]
fn torch_script_answers_in_libtorch_as_predict_does() {
    let folder = Classifier::copied();
    let folder = folder.path();
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
}

/// `cargo xtask check-weights` runs it.
#[test]
fn onnx_says_what_it_takes() {
    let folder = Classifier::copied();
    let folder = folder.path();
    run(folder, &["export", "--weights", "tuned", "--out", "tuned.onnx"]);
    let onnx = fs::read(folder.join("tuned.onnx")).unwrap();
    for word in ["images", "logits", "class_names", "GlobalAveragePool"] {
        assert!(onnx.windows(word.len()).any(|bytes| bytes == word.as_bytes()), "no {word}");
    }
}

#[test]
fn an_unknown_format_is_not_exported() {
    let export = ["export", "--weights", "tuned", "--out", "tuned.bin"];
    let refused = xception(Classifier::get().path(), &export);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("end it in .onnx or .pt"), "{}", refused.stderr);
}

/// Finite weights may give answers that are no numbers, such as by a variance below 0.
#[test]
fn answers_that_are_no_numbers_are_no_figures() {
    let folder = Classifier::copied();
    let folder = folder.path();
    let (mut tensors, metadata) = weights::read(&folder.join("tuned/last.safetensors")).unwrap();
    let variance = tensors.iter_mut().find(|(name, _)| name.ends_with("running_var")).unwrap().1;
    *variance = variance.full_like(-1.0);
    weights::write(&folder.join("nan.safetensors"), &tensors, &metadata).unwrap();
    let eval =
        ["eval", "--weights", "nan.safetensors", "--data", "folder:shapes", "--split", "all"];
    let ended = xception(folder, &eval);
    assert_eq!(ended.code, Some(3), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("the network's answer is not finite"), "{}", ended.stderr);
    assert!(!ended.stdout.contains("accuracy"), "{}", ended.stdout);
}

/// The path of an image of circles, from `folder`.
pub(super) fn some_image(folder: &Path) -> String {
    let mut names: Vec<String> = fs::read_dir(folder.join("shapes/disc"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "broken.png")
        .collect();
    names.sort();
    format!("shapes/disc/{}", names[0])
}

#[test]
fn a_study_trains_every_variant_and_resumes_where_it_stopped() {
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
