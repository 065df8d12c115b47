//! A whole small run on the synthetic set: its output, its files, and the uses of its weights.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use super::{Ended, Shared, json, xception};

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

/// A run that every test here reads.
struct Finished {
    folder: Shared,
    ended: Ended,
}

impl Finished {
    fn get() -> &'static Self {
        static FINISHED: OnceLock<Finished> = OnceLock::new();
        FINISHED.get_or_init(|| {
            let mut ended = None;
            let folder = Shared::new("finished", |folder| ended = Some(xception(folder, &SMALL)));
            let ended = ended.expect("it was run");
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            Self { folder, ended }
        })
    }

    fn run(&self) -> PathBuf {
        self.folder.path.join("run")
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.run().join(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }
}

/// Nobody may take the synthetic set for CIFAR-10.
#[test]
fn a_run_says_that_its_images_are_synthetic() {
    let Ended { stdout, stderr, .. } = &Finished::get().ended;
    let warning = "CIFAR-10 WAS NOT FOUND: training on the SYNTHETIC set";
    assert!(stderr.contains(warning), "{stderr}");
    let result = "synthetic test accuracy (synthetic images, NOT CIFAR-10): ";
    assert!(stdout.contains(result), "{stdout}");
    assert!(stdout.contains("Rows are the true classes"), "{stdout}");
}

#[test]
fn a_run_leaves_all_its_files() {
    let run = Finished::get();
    let config = run.text("config.toml");
    assert!(config.contains("data = \"synthetic\"") && config.contains("epochs = 1\n"), "{config}");
    assert_eq!(run.json("env.json")["seed"], 0);
    let mut names: Vec<String> = fs::read_dir(run.run())
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
            "predictions.csv",
            "report.html",
            "results.json",
            "tb"
        ]
    );
}

/// `cargo xtask check-tensorboard` checks the values.
#[test]
fn a_run_leaves_one_event_file_with_every_kind_of_event() {
    let [events] = &fs::read_dir(Finished::get().run().join("tb")).unwrap().collect::<Vec<_>>()[..]
    else {
        panic!("a run has one event file");
    };
    let events = fs::read(events.as_ref().unwrap().path()).unwrap();
    for tag in ["train/loss", "val/acc1", "samples/train", "weights/conv1.weight"] {
        assert!(events.windows(tag.len()).any(|window| window == tag.as_bytes()), "no {tag}");
    }
}

#[test]
fn a_run_logs_every_tenth_step_and_the_last_and_learns() {
    let run = Finished::get();
    let text = run.text("metrics.jsonl");
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
    assert_eq!(measured["val/acc1"], run.json("results.json")["last"]["top1"]);
    let (first, last) =
        (training[0]["train/loss"].as_f64().unwrap(), training[7]["train/loss"].as_f64().unwrap());
    assert!(last < first, "a network that does not learn: {first} to {last}");
}

/// In fp32 and with another batch size.
#[test]
fn eval_of_the_saved_weights_measures_the_values_of_the_run() {
    let run = Finished::get();
    let precise = ["--precision", "fp32", "--batch-size", "33", "--json"];
    let arguments = [&["eval", "--weights", "run"][..], &precise].concat();
    let evaluated = json(&xception(&run.folder.path, &arguments));
    let (results, details) = (run.json("results.json"), run.json("evaluation.json"));
    assert_eq!(evaluated["images"], 2000);
    assert_eq!(evaluated["top1"], results["last"]["top1"]);
    let (ours, theirs) =
        (evaluated["loss"].as_f64().unwrap(), results["last"]["loss"].as_f64().unwrap());
    assert!((ours - theirs).abs() < 1e-5, "{ours} {theirs}");
    assert!(evaluated["top5"].as_f64() >= evaluated["top1"].as_f64());
    let (ours, theirs) = (evaluated["ece"].as_f64().unwrap(), details["ece"].as_f64().unwrap());
    assert!((ours - theirs).abs() < 1e-3, "{ours} {theirs}");
    assert_eq!(evaluated["classes"][9]["name"], "checkerboard");
    assert_eq!(evaluated["classes"][9]["recall"], results["per_class"]["checkerboard"]);
}

#[test]
fn the_final_evaluation_is_whole_and_the_page_shows_it() {
    let run = Finished::get();
    let (results, details) = (run.json("results.json"), run.json("evaluation.json"));
    for key in ["top1", "top5", "images"] {
        assert_eq!(details[key], results["last"][key], "{key}");
    }
    assert_eq!(details["confusion"], results["confusion"]);
    let mistakes = details["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 32);
    // Number i of the synthetic set is of class i % 10.
    assert!(mistakes.iter().all(|mistake| {
        mistake["index"].as_u64().unwrap() % 10 == mistake["label"].as_u64().unwrap()
            && mistake["label"] != mistake["predicted"]
    }));
    let page = run.text("report.html");
    let accuracy = results["last"]["top1"].as_f64().unwrap() * 100.0;
    assert!(page.contains(&format!("<h1>{accuracy:.2} % test accuracy</h1>")));
    assert!(page.contains("Drawn shapes, not CIFAR-10."));
    assert_eq!(page.matches("taken for ").count(), 32 + 2, "each mistake says what it is");
}

#[test]
fn a_folder_with_a_run_takes_no_other() {
    let again = xception(&Finished::get().folder.path, &SMALL);
    assert_eq!(again.code, Some(2));
    let expected = "--out run: the folder is not empty; give a new one";
    assert!(again.stderr.contains(expected), "{}", again.stderr);
}

/// An image file and a tensor of the same pixels, normalised, in a folder of their own.
fn inputs() -> TempDir {
    let folder = TempDir::new().unwrap();
    let pixels: Vec<u8> = (0..32 * 32 * 3).map(|index| (index * 7 % 256) as u8).collect();
    image::RgbImage::from_raw(32, 32, pixels.clone())
        .unwrap()
        .save(folder.path().join("image.png"))
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
    write(&folder.path().join("input.safetensors"), "input", images);
    folder
}

fn write(path: &Path, name: &str, tensor: tch::Tensor) {
    let tensors = [(name.to_string(), tensor)].into();
    xception::weights::write(path, &tensors, &Default::default()).unwrap();
}

#[test]
fn an_image_and_a_tensor_of_the_same_pixels_are_classified_alike() {
    let (run, folder) = (Finished::get().run().display().to_string(), inputs());
    let folder = folder.path();
    let options = ["--json", "--top", "3", "--logits", "logits.safetensors"];
    let images = ["image.png", "input.safetensors"];
    let predict = [&["predict", "--weights", &run][..], &options, &images].concat();
    let predicted = json(&xception(folder, &predict));
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
}

#[test]
fn predictions_are_lines_for_people() {
    let (run, folder) = (Finished::get().run().join("best.safetensors"), inputs());
    let weights = run.display().to_string();
    let plain = xception(folder.path(), &["predict", "--weights", &weights, "image.png"]);
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
        "225 tensors of preset notebook-cifar10 with 10 classes written to ours.safetensors\n\
         images: 32×32 pixels, cropped to the middle square\n"
    );

    // The golden file's first case, through the command line.
    let case = &golden.cases[0];
    let images = crate::fill::images(&case.input_name, &case.input).to_kind(tch::Kind::Float);
    write(&folder.path().join("input.safetensors"), "input", images);
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
fn a_summary_counts_parameters_and_operations() {
    let folder = tempfile::tempdir().unwrap();
    let summary = json(&xception(folder.path(), &["summary", "--preset", "xception", "--json"]));
    assert_eq!(summary["params_trainable"], 22_855_952);
    assert_eq!(summary["params_total"], 22_910_480);
    assert_eq!(summary["macs"], 8_357_403_496_u64);
    assert_eq!(summary["input"], 299);
    assert_eq!(summary["layers"][0]["output"], serde_json::json!([32, 149, 149]));
    assert_eq!(summary["macs_regular"], 68_818_345_696_u64);
    assert_eq!(summary["params_regular"], 179_071_688);
    let ratio = summary["macs_ratio"].as_f64().unwrap();
    assert!((ratio - 68_818_345_696. / 8_357_403_496.).abs() < 1e-12, "{ratio}");
    let table = xception(folder.path(), &["summary", "--preset", "notebook-cifar10"]);
    let below: Vec<&str> = table.stdout.lines().rev().take(2).collect();
    assert_eq!(
        below,
        [
            "With regular convolutions in place of the separable ones: 177,041,106 trainable parameters and 770,190,592 \
             multiply-accumulates, 8.50 and 8.22 times as many",
            "notebook-cifar10 at 32×32: 20,825,370 trainable parameters, 20,875,626 with batch-norm statistics, \
             93,752,896 multiply-accumulates and 428,906 activations an image",
        ]
    );
}
