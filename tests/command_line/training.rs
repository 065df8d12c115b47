//! A whole small run on the synthetic set, and what can be done with what it leaves.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{json, xception};

/// The smallest network, one epoch.
const SMALL: [&str; 10] = [
    "train",
    "--out",
    "run",
    "--set",
    "epochs=1",
    "--set",
    "model.scale={ width = 0.05, middle_modules = 0, stem_stride = 2, entry_strides = [2, 1, 1] }",
    "--set",
    "log_every=10",
    "--quiet",
];

#[test]
fn a_run_leaves_what_it_promises_and_its_weights_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = xception(folder, &SMALL);
    assert_eq!(run.code, Some(0), "{}", run.stderr);

    // Nobody may take this for CIFAR-10.
    assert!(
        run.stderr.contains("CIFAR-10 WAS NOT FOUND: training on the SYNTHETIC set"),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout.contains("synthetic test accuracy (synthetic images, NOT CIFAR-10): "),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("Rows are the true classes"), "{}", run.stdout);

    let results = read(&folder.join("run/results.json"));
    let config = fs::read_to_string(folder.join("run/config.toml")).unwrap();
    assert!(config.contains("data = \"synthetic\"") && config.contains("epochs = 1\n"), "{config}");
    assert_eq!(read(&folder.join("run/env.json"))["seed"], 0);
    check_metrics(&fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap(), &results);
    let mut names: Vec<String> = fs::read_dir(folder.join("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            ".lock",
            "best.safetensors",
            "checkpoints",
            "config.toml",
            "env.json",
            "evaluation.json",
            "last.safetensors",
            "metrics.jsonl",
            "report.html",
            "results.json",
            "tb"
        ]
    );

    // What is in it is for `cargo xtask check-tensorboard` to say.
    let [events] = &fs::read_dir(folder.join("run/tb")).unwrap().collect::<Vec<_>>()[..] else {
        panic!("a run has one event file");
    };
    let events = fs::read(events.as_ref().unwrap().path()).unwrap();
    for tag in ["train/loss", "val/acc1", "samples/train", "weights/conv1.weight"] {
        assert!(events.windows(tag.len()).any(|window| window == tag.as_bytes()), "no {tag}");
    }

    // The saved weights measure as the run did, in fp32 and through any batch size.
    let evaluated = json(&xception(
        folder,
        &["eval", "--weights", "run", "--precision", "fp32", "--batch-size", "33", "--json"],
    ));
    assert_eq!(evaluated["images"], 2000);
    assert_eq!(evaluated["top1"], results["last"]["top1"]);
    let (ours, theirs) =
        (evaluated["loss"].as_f64().unwrap(), results["last"]["loss"].as_f64().unwrap());
    assert!((ours - theirs).abs() < 1e-5, "{ours} {theirs}");
    assert!(evaluated["top5"].as_f64() >= evaluated["top1"].as_f64());

    check_details(folder, &results, &evaluated);
    check_predictions(folder);

    let again = xception(folder, &SMALL);
    assert_eq!(again.code, Some(2));
    assert!(
        again.stderr.contains("--out run: the folder is not empty; give a new one"),
        "{}",
        again.stderr
    );
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn check_metrics(text: &str, results: &Value) {
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let training: Vec<&Value> =
        lines.iter().filter(|line| line.get("train/loss").is_some()).collect();
    let steps: Vec<u64> = training.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    // 10,000 images in batches of 128 are 79 steps, the last one of 16.
    assert_eq!(steps, [10, 20, 30, 40, 50, 60, 70, 79]);
    assert!(
        training.iter().all(|line| line["lr"].as_f64() > Some(0.0) || line["step"] == 79),
        "{text}"
    );
    assert!(training.iter().all(|line| line["perf/images_per_s"].as_f64() > Some(0.0)), "{text}");
    let measured = lines.last().unwrap();
    assert_eq!(measured["val/acc1"], results["last"]["top1"]);
    let (first, last) =
        (training[0]["train/loss"].as_f64().unwrap(), training[7]["train/loss"].as_f64().unwrap());
    assert!(last < first, "a network that does not learn: {first} to {last}");
}

/// The final evaluation is whole, and the page shows it.
fn check_details(folder: &Path, results: &Value, evaluated: &Value) {
    let details = read(&folder.join("run/evaluation.json"));
    for key in ["top1", "top5", "images"] {
        assert_eq!(details[key], results["last"][key], "{key}");
    }
    assert_eq!(details["confusion"], results["confusion"]);
    let (ours, theirs) = (evaluated["ece"].as_f64().unwrap(), details["ece"].as_f64().unwrap());
    assert!((ours - theirs).abs() < 1e-3, "{ours} {theirs}");
    assert_eq!(evaluated["classes"][9]["name"], "checkerboard");
    assert_eq!(evaluated["classes"][9]["recall"], results["per_class"]["checkerboard"]);
    let mistakes = details["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 32);
    // Number i of the synthetic set is of class i % 10.
    assert!(mistakes.iter().all(|mistake| {
        mistake["index"].as_u64().unwrap() % 10 == mistake["label"].as_u64().unwrap()
            && mistake["label"] != mistake["predicted"]
    }));
    let page = fs::read_to_string(folder.join("run/report.html")).unwrap();
    let accuracy = results["last"]["top1"].as_f64().unwrap() * 100.0;
    assert!(page.contains(&format!("<h1>{accuracy:.2} % test accuracy</h1>")));
    assert!(page.contains("Drawn shapes, not CIFAR-10."));
    assert_eq!(page.matches("taken for ").count(), 32 + 2, "each mistake says what it is");
}

/// An image file and a tensor of the same pixels are one thing to the network.
fn check_predictions(folder: &Path) {
    let pixels: Vec<u8> = (0..32 * 32 * 3).map(|index| (index * 7 % 256) as u8).collect();
    image::RgbImage::from_raw(32, 32, pixels.clone())
        .unwrap()
        .save(folder.join("image.png"))
        .unwrap();
    let (mean, std) = ([0.4914, 0.4822, 0.4465], [0.247, 0.243, 0.261]);
    let normalized: Vec<f32> = pixels
        .iter()
        .enumerate()
        .map(|(index, &byte)| ((f64::from(byte) / 255.0 - mean[index % 3]) / std[index % 3]) as f32)
        .collect();
    let images = tch::Tensor::from_slice(&normalized)
        .view([1, 32, 32, 3])
        .permute([0, 3, 1, 2])
        .repeat([2, 1, 1, 1]);
    let tensors = [("input".to_string(), images)].into();
    xception::weights::write(&folder.join("input.safetensors"), &tensors, &Default::default())
        .unwrap();

    let arguments = [
        "predict",
        "--weights",
        "run",
        "--json",
        "--top",
        "3",
        "--logits",
        "logits.safetensors",
        "image.png",
        "input.safetensors",
    ];
    let predicted = json(&xception(folder, &arguments));
    let inputs: Vec<&str> = predicted
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["input"].as_str().unwrap())
        .collect();
    assert_eq!(inputs, ["image.png", "input.safetensors[0]", "input.safetensors[1]"]);
    let top = predicted[0]["top"].as_array().unwrap();
    assert_eq!(top.len(), 3);
    assert_eq!(
        top[0]["label"],
        datasets::synthetic::CLASS_NAMES[top[0]["class"].as_u64().unwrap() as usize]
    );
    assert!(top[0]["probability"].as_f64() >= top[1]["probability"].as_f64());

    let (logits, _) = xception::weights::read(&folder.join("logits.safetensors")).unwrap();
    assert_eq!(logits["logits"].size(), [3, 10]);
    assert!(logits["logits"].get(0).allclose(&logits["logits"].get(2), 1e-4, 1e-4, false));
    let best = logits["logits"].get(0).argmax(0, false).int64_value(&[]);
    assert_eq!(top[0]["class"], best);

    let plain = xception(folder, &["predict", "--weights", "run/best.safetensors", "image.png"]);
    assert_eq!(plain.stdout.lines().count(), 6, "{}", plain.stdout);
}

#[test]
fn an_imported_state_dict_can_be_used_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let golden = crate::golden_file::Golden::open("notebook-cifar10");
    let original = folder.path().join("original.safetensors");
    xception::weights::write(&original, &crate::golden::state_dict(&golden), &Default::default())
        .unwrap();
    let arguments = [
        "import",
        "--preset",
        "notebook-cifar10",
        "original.safetensors",
        "-o",
        "ours.safetensors",
    ];
    let imported = xception(folder.path(), &arguments);
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);
    assert_eq!(
        imported.stdout,
        "225 tensors of preset notebook-cifar10 with 10 classes written to ours.safetensors\n"
    );

    // The golden file's first case, through the command line.
    let case = &golden.cases[0];
    let images = crate::fill::images(&case.input_name, &case.input).to_kind(tch::Kind::Float);
    let tensors = [("input".to_string(), images)].into();
    xception::weights::write(
        &folder.path().join("input.safetensors"),
        &tensors,
        &Default::default(),
    )
    .unwrap();
    let arguments = [
        "predict",
        "--weights",
        "ours.safetensors",
        "--precision",
        "fp32",
        "--logits",
        "logits.safetensors",
        "input.safetensors",
    ];
    let predicted = xception(folder.path(), &arguments);
    assert_eq!(predicted.code, Some(0), "{}", predicted.stderr);
    // The foreign file names no classes; ten of the notebook's preset are CIFAR-10's.
    let names = datasets::Cifar::Cifar10.class_names();
    let named = predicted.stdout.lines().filter(|line| line.starts_with("  "));
    assert!(
        named.clone().all(|line| names.iter().any(|name| line.ends_with(name))),
        "{}",
        predicted.stdout
    );
    assert_eq!(named.count(), 5 * case.labels.len());
    let (logits, _) = xception::weights::read(&folder.path().join("logits.safetensors")).unwrap();
    let flat: Vec<f64> = case.eval_logits.iter().flatten().copied().collect();
    let expected = tch::Tensor::from_slice(&flat).view([-1, 10]);
    let error = (&logits["logits"] - &expected).norm() / expected.norm();
    assert!(error.double_value(&[]) < 1e-5, "{error}");
}

#[test]
fn a_summary_counts_what_the_design_counts() {
    let folder = tempfile::tempdir().unwrap();
    let summary = json(&xception(folder.path(), &["summary", "--preset", "xception", "--json"]));
    assert_eq!(summary["params_trainable"], 22_855_952);
    assert_eq!(summary["params_total"], 22_910_480);
    assert_eq!(summary["macs"], 8_357_403_496_u64);
    assert_eq!(summary["input"], 299);
    assert_eq!(summary["layers"][0]["output"], serde_json::json!([32, 149, 149]));
    let table = xception(folder.path(), &["summary", "--preset", "notebook-cifar10"]);
    assert!(table.stdout.ends_with("20,825,370 trainable parameters, 20,875,626 with batch-norm statistics, 93,752,896 multiply-accumulates and 428,906 activations an image\n"), "{}", table.stdout);
}
