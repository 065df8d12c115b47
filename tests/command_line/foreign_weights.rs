//! Weights of other programs, as people have them: imported, described, refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use image::RgbImage;
use serde_json::json;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;
use xception::weights::{self, Description, Fit, Interpolation, Tensors};
use xception::{ModelSpec, Preset};

use super::own_images::{first_run, write_images};
use super::{json, xception};
use crate::golden::{spec, state_dict};
use crate::golden_file::Golden;

const NETWORK: &str = "notebook-cifar10";

/// The state dict of a notebook's network with `prefix` before each name and, in place of its own, a head for `classes`.
fn state(prefix: &str, head: Option<(&str, i64)>) -> Tensors {
    let own = state_dict(&Golden::open(NETWORK)).into_iter();
    let backbone = own.filter(|(name, _)| !name.starts_with("exit_flow.linear."));
    let mut tensors: Tensors =
        backbone.map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect();
    if let Some((name, classes)) = head {
        let weight = Tensor::randn([classes, 2048], (Kind::Float, Device::Cpu));
        tensors.insert(format!("{name}.weight"), weight);
    }
    tensors
}

fn write(path: &Path, tensors: &Tensors) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    weights::write(path, tensors, &BTreeMap::new()).unwrap();
}

fn description(path: &Path) -> Description {
    let (_, metadata) = weights::read(path).unwrap();
    Description::from_metadata(path, &metadata).unwrap().expect("a file of ours")
}

#[test]
fn a_checkpoint_is_imported_with_what_is_typed() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write(&folder.join("theirs.safetensors"), &state("model.", Some(("model.classifier.1", 3))));
    // As editors of Windows write it, with an umlaut of one byte.
    fs::write(folder.join("kinds.txt"), b"K\xe4tzchen\r\nsmall dog\r\nowl\r\n\r\n").unwrap();
    let typed = "import theirs.safetensors -o ours.safetensors --class-names kinds.txt --side 48 --fit squash \
                 --interpolation nearest --crop-fraction 0.9 --mean 0,0.25,0.5 --std 0.5,0.5,0.25";
    let ended = xception(folder, &typed.split_whitespace().collect::<Vec<_>>());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for expected in [
        "preset notebook-cifar10 with 3 classes",
        "images: 48×48 pixels, squashed",
        "the weights are at model\n",
        "classifier.1 is taken for the head",
        "the head has no bias",
    ] {
        assert!(ended.stdout.contains(expected), "{}", ended.stdout);
    }
    let ours = description(&folder.join("ours.safetensors"));
    assert_eq!(ours.class_names, ["Kätzchen", "small dog", "owl"]);
    assert_eq!((ours.input, ours.fit, ours.crop_fraction), (48, Fit::Squash, 0.9));
    assert_eq!(ours.interpolation, Interpolation::Nearest);
    assert_eq!((ours.mean, ours.std), ([0.0, 0.25, 0.5], [0.5, 0.5, 0.25]));

    // Imported once more, to change one thing.
    let again = ["import", "ours.safetensors", "-o", "again.safetensors", "--side", "64"];
    assert_eq!(xception(folder, &again).code, Some(0));
    let changed = Description { input: 64, ..ours };
    assert_eq!(description(&folder.join("again.safetensors")), changed);
    let ended =
        xception(folder, &["predict", "--weights", "ours.safetensors", "--take", "ema", "x.png"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);

    // A file's name is no promise.
    fs::copy(folder.join("theirs.safetensors"), folder.join("xception.safetensors")).unwrap();
    let misnamed = ["import", "xception.safetensors", "-o", "named.safetensors"];
    assert_eq!(xception(folder, &misnamed).code, Some(0));

    // The same answer, imported or not.
    RgbImage::from_fn(60, 40, |x, y| image::Rgb([x as u8 * 4, y as u8 * 6, 77]))
        .save(folder.join("image.png"))
        .unwrap();
    let predict = |weights: &str| {
        let ended = xception(folder, &["predict", "--json", "--weights", weights, "image.png"]);
        json(&ended)[0]["top"][0]["label"].as_str().unwrap().to_string()
    };
    assert!(["Kätzchen", "small dog", "owl"].contains(&predict("ours.safetensors").as_str()));
    assert!(predict("theirs.safetensors").starts_with("class "));
}

#[test]
fn what_cannot_be_described_is_refused() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write(&folder.join("theirs.safetensors"), &state("", Some(("fc", 3))));
    for (code, typed, expected) in [
        (2, "--class-names a,b", "--class-names has 2 names, and the head of the file 3 classes"),
        (2, "--side 0", "0 is not in 1..=8192"),
        (2, "--mean 1,2", "expected three numbers with commas between them"),
        (2, "--std 0,1,1", "metadata 'std' must be above 0"),
        (
            2,
            "--crop-fraction 1.5",
            "metadata 'crop_fraction' must be above 0.1 and at most 1, is 1.5",
        ),
        (2, "--take ema", "the file has no weights called ema; it has ."),
        (3, "--preset xception", "cannot import as preset 'xception'"),
    ] {
        let mut arguments = vec!["import", "theirs.safetensors", "-o", "ours.safetensors"];
        arguments.extend(typed.split(' '));
        let ended = xception(folder, &arguments);
        assert_eq!(ended.code, Some(code), "{typed}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{typed}: {}", ended.stderr);
        assert!(!folder.join("ours.safetensors").exists(), "{typed}");
    }
}

#[test]
fn a_file_without_a_head_names_no_class() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write(&folder.join("theirs.safetensors"), &state("", None));
    let ended = xception(folder, &["import", "theirs.safetensors", "-o", "ours.safetensors"]);
    assert!(ended.stdout.contains("without a head"), "{}", ended.stdout);
    assert!(ended.stdout.contains("the file has no head"), "{}", ended.stdout);
    let ours = description(&folder.join("ours.safetensors"));
    assert_eq!((ours.spec.classes, ours.class_names.len()), (0, 0));
    for weights in ["theirs.safetensors", "ours.safetensors"] {
        let ended = xception(folder, &["eval", "--weights", weights, "--data", "synthetic"]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        let expected = format!("{weights} has no head, so it names no class; train one: xception");
        assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
    }
}

#[test]
fn a_run_starts_from_weights_without_a_head() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (mut tensors, mut metadata) = weights::read(&first_run().join("last.safetensors")).unwrap();
    tensors.retain(|name, _| !name.starts_with("fc."));
    metadata.insert("classes".to_string(), "0".to_string());
    metadata.insert("class_names".to_string(), "[]".to_string());
    weights::write(&folder.join("headless.safetensors"), &tensors, &metadata).unwrap();
    write_images(&folder.join("shapes"), 40);
    let train = |more: &[&str]| {
        let tune = "train --recipe finetune --weights headless.safetensors --data folder:shapes --out tuned --set \
                    epochs=1 --set batch_size=8 --set transfer.frozen_epochs=1";
        let mut arguments: Vec<&str> = tune.split_whitespace().collect();
        arguments.extend(more);
        xception(folder, &arguments)
    };
    let ended = train(&["--set", "transfer.head=kept"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("headless.safetensors has no head"), "{}", ended.stderr);
    let ended = train(&[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let tuned = description(&folder.join("tuned/last.safetensors"));
    assert_eq!(tuned.spec.classes, 10);
}

/// `config.json` with timm's fields, and the weights whole or in parts.
#[test]
fn folders_of_the_hub_are_read() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let golden = Golden::open("xception41");
    let mut tensors = state_dict(&golden);
    assert_eq!(spec(&golden).preset, Preset::Xception41);
    tensors.insert("head.fc.weight".into(), Tensor::zeros([2, 2048], (Kind::Float, Device::Cpu)));
    tensors.insert("head.fc.bias".into(), Tensor::zeros([2], (Kind::Float, Device::Cpu)));
    let config = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut config = json!({
            "architecture": "xception41", "num_classes": 2, "label_names": ["cat", "dog"],
            "pretrained_cfg": {
                "input_size": [3, 256, 256], "interpolation": "bilinear", "crop_pct": 0.95,
                "crop_mode": "squash", "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]
            }
        });
        change(&mut config);
        config.to_string()
    };
    let whole = folder.join("whole");
    write(&whole.join("model.safetensors"), &tensors);
    fs::write(whole.join("config.json"), config(&|_| {})).unwrap();

    let parts = folder.join("parts");
    let (first, second): (Tensors, Tensors) =
        tensors.into_iter().partition(|(name, _)| name.starts_with("blocks"));
    write(&parts.join("model-00001-of-00002.safetensors"), &first);
    write(&parts.join("model-00002-of-00002.safetensors"), &second);
    let map = |part: &str, tensors: &Tensors| -> serde_json::Map<String, serde_json::Value> {
        tensors.keys().map(|name| (name.clone(), json!(part))).collect()
    };
    let mut weight_map = map("model-00001-of-00002.safetensors", &first);
    weight_map.extend(map("model-00002-of-00002.safetensors", &second));
    let index = parts.join("model.safetensors.index.json");
    fs::write(&index, json!({ "weight_map": weight_map }).to_string()).unwrap();
    let of_transformers = |config: &mut serde_json::Value| {
        config["label_names"].take();
        config["id2label"] = json!({ "0": "cat", "1": "dog" });
    };
    fs::write(parts.join("config.json"), config(&of_transformers)).unwrap();

    let imported = |text: String| {
        let before = fs::read(whole.join("config.json")).unwrap();
        fs::write(whole.join("config.json"), text).unwrap();
        let ended = xception(folder, &["import", "whole", "-o", "other.safetensors"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        fs::write(whole.join("config.json"), before).unwrap();
        (ended.stdout, description(&folder.join("other.safetensors")).class_names)
    };
    let three = json!(["cat", "dog", "emu"]);
    let (said, names) = imported(config(&|config| config["label_names"] = three.clone()));
    assert!(said.contains("names 3 classes and the head has 2: the names are left out"), "{said}");
    assert_eq!(names, ["class 0", "class 1"]);
    let (_, names) = imported(json!({ "id2label": { "0": "cat", "1": "dog" } }).to_string());
    assert_eq!(names, ["cat", "dog"]);

    for input in ["whole", "whole/model.safetensors", "parts", "parts/model.safetensors.index.json"]
    {
        let ended = xception(folder, &["import", input, "-o", "ours.safetensors"]);
        assert_eq!(ended.code, Some(0), "{input}: {}", ended.stderr);
        let ours = description(&folder.join("ours.safetensors"));
        assert_eq!(ours.spec, ModelSpec { classes: 2, ..ModelSpec::new(Preset::Xception41) });
        assert_eq!(ours.class_names, ["cat", "dog"]);
        assert_eq!((ours.input, ours.crop_fraction, ours.fit), (256, 0.95, Fit::Squash));
        assert_eq!((ours.mean, ours.std), ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]));
    }

    let refused = |name: &str, text: String, expected: &str| {
        let (input, file) = name.split_once('/').unwrap();
        let path = folder.join(input).join(file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        let ended = xception(folder, &["import", input, "-o", "refused.safetensors"]);
        assert_ne!(ended.code, Some(0), "{name}");
        assert!(ended.stderr.contains(expected), "{name}: {}", ended.stderr);
        assert!(!folder.join("refused.safetensors").exists());
        fs::write(path, before).unwrap();
    };
    let other = config(&|config| config["architecture"] = json!("resnet50"));
    refused("whole/config.json", other, "'architecture' is 'resnet50'; known are legacy_xception");
    let border = config(&|config| config["pretrained_cfg"]["crop_mode"] = json!("border"));
    refused("whole/config.json", border, "'crop_mode' is 'border'; known are center and squash");
    let max = config(&|config| config["global_pool"] = json!("max"));
    refused(
        "whole/config.json",
        max,
        "'global_pool' is 'max'; the weights of this network use 'avg'",
    );
    let bytes = config(&|config| config["pretrained_cfg"]["mean"] = json!([127.5, 127.5, 127.5]));
    refused("whole/config.json", bytes, "expected numbers on the scale of 0 to 1");
    let oblong = config(&|config| config["pretrained_cfg"]["input_size"] = json!([3, 200, 256]));
    refused("whole/config.json", oblong, "is 200×256; only squares are fitted");
    let grey = config(&|config| config["pretrained_cfg"]["input_size"] = json!([1, 256, 256]));
    refused("whole/config.json", grey, "has 1 channels; images here have 3, red, green and blue");
    let arguments = config(&|config| config["model_args"] = json!({ "output_stride": 16 }));
    refused("whole/config.json", arguments, "'model_args' has output_stride = 16");
    let no_std = config(&|config| config["pretrained_cfg"]["std"] = json!([0.0, 0.5, 0.5]));
    refused("whole/config.json", no_std, "metadata 'std' must be above 0");
    refused("whole/config.json", "{".to_string(), "config.json cannot be used");
    for part in ["../whole/model.safetensors", "/etc/passwd", ".."] {
        let index = json!({ "weight_map": { "conv1.weight": part } }).to_string();
        refused("parts/model.safetensors.index.json", index, "which is no file beside it");
    }
    let index = json!({ "weight_map": { "x": "model-00001-of-00002.safetensors" } }).to_string();
    refused("parts/model.safetensors.index.json", index, "does not hold x");
    refused("parts/model.safetensors.index.json", "[]".to_string(), "it has no weight_map");
}

#[test]
fn a_folder_of_the_hub_is_written() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let tensors = state_dict(&Golden::open("xception"));
    write(&folder.join("theirs.safetensors"), &tensors);
    let export = |weights: &str, out: &str| {
        xception(folder, &["export", "--format", "hub", "--weights", weights, "-o", out])
    };
    let ended = export("theirs.safetensors", "out");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let config = fs::read(folder.join("out/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["architecture"], "legacy_xception");
    assert_eq!(config["pretrained_cfg"]["crop_pct"], 0.8975);
    assert_eq!(config["pretrained_cfg"]["classifier"], "fc");
    let (written, _) = weights::read(&folder.join("out/model.safetensors")).unwrap();
    assert!(written["conv1.weight"].equal(&tensors["conv1.weight"]));
    let ended = export(&first_run().display().to_string(), "other");
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("timm has no network like 'cifar'"), "{}", ended.stderr);
    assert!(!folder.join("other").exists());
}

/// Images of every shape and kind give the probabilities of `predict`, whichever way the weights make squares of them.
#[test]
fn an_exported_network_prepares_images_itself() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (tensors, mut metadata) = weights::read(&first_run().join("last.safetensors")).unwrap();
    let paint = |x: u32, y: u32| image::Rgb([(x * 5) as u8, (y * 3 + x) as u8, (x * y / 7) as u8]);
    for (name, width, height) in [
        ("landscape", 90, 40),
        ("portrait", 33, 71),
        ("small", 9, 8),
        ("exact", 32, 32),
        ("halves", 64, 160),
    ] {
        let image = RgbImage::from_fn(width, height, paint);
        image.save(folder.join(format!("{name}.png"))).unwrap();
    }
    let images = ["landscape.png", "portrait.png", "small.png", "exact.png", "halves.png"];
    for (fit, interpolation, crop) in [
        ("crop", "bicubic", "0.8"),
        ("crop", "bilinear", "1.0"),
        ("squash", "bilinear", "0.9"),
        ("squash", "bicubic", "1.0"),
        ("crop", "lanczos", "0.9"),
        ("squash", "nearest", "1.0"),
    ] {
        metadata.insert("fit".to_string(), format!("\"{fit}\""));
        metadata.insert("interpolation".to_string(), format!("\"{interpolation}\""));
        metadata.insert("crop_fraction".to_string(), crop.to_string());
        weights::write(&folder.join("w.safetensors"), &tensors, &metadata).unwrap();
        let export = ["export", "--weights", "w.safetensors", "--with-preprocessing", "-o", "w.pt"];
        let ended = xception(folder, &export);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let module = tch::CModule::load(folder.join("w.pt")).unwrap();
        let predict = [
            "predict",
            "--weights",
            "w.safetensors",
            "--precision",
            "fp32",
            "--json",
            "--top",
            "10",
        ];
        let answers = json(&xception(folder, &[&predict[..], &images].concat()));
        for (answer, name) in answers.as_array().unwrap().iter().zip(images) {
            let image = image::open(folder.join(name)).unwrap().into_rgb8();
            let size = [1, image.height().into(), image.width().into(), 3];
            let bytes = Tensor::from_slice(image.as_raw()).view(size);
            let theirs = module.forward_ts(&[bytes]).unwrap();
            for entry in answer["top"].as_array().unwrap() {
                let class = entry["class"].as_i64().unwrap();
                let away =
                    theirs.double_value(&[0, class]) - entry["probability"].as_f64().unwrap();
                assert!(away.abs() < 1e-5, "{name}, {fit}, {interpolation}: {away}");
            }
        }
        let onnx = ["export", "--weights", "w.safetensors", "--with-preprocessing", "-o", "w.onnx"];
        assert_eq!(xception(folder, &onnx).code, Some(0));
    }
    for (typed, expected) in [
        (&["--format", "hub", "--with-preprocessing"][..], "timm prepares images itself"),
        (&["--format", "torchscript", "--verify", "exact.png"], "which reads .onnx only"),
        (
            &["--format", "onnx", "--verify", "exact.png", "--python", "no-python"],
            "no-python cannot run",
        ),
    ] {
        let export = ["export", "--weights", "w.safetensors", "-o", "refused"];
        let ended = xception(folder, &[&export[..], typed].concat());
        assert_ne!(ended.code, Some(0), "{typed:?}");
        assert!(ended.stderr.contains(expected), "{typed:?}: {}", ended.stderr);
    }
}
