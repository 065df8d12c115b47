//! Folders of runs that nobody trained, with figures that can be checked by hand.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// A class name that is markup; a page that took it for markup would report an error.
pub(super) const HOSTILE: &str = "<img src=x onerror=\"console.error('markup from a file')\">";

/// One pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The files that a run left.
pub(super) struct Left {
    pub(super) classes: usize,
    /// Epochs that were measured, and those that the recipe asks for.
    pub(super) epochs: u64,
    pub(super) planned: u64,
    pub(super) threads: u64,
    /// Whether training ended with an evaluation.
    pub(super) evaluated: bool,
    /// Whether a loss is null and the last line of metrics is half a line.
    pub(super) broken: bool,
}

/// A run of ten classes that ended well.
pub(super) const FINISHED: Left =
    Left { classes: 10, epochs: 3, planned: 3, threads: 2, evaluated: true, broken: false };

/// Writes the run's files into `folder`.
pub(super) fn leave(folder: &Path, left: &Left) {
    fs::create_dir_all(folder).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write(
        "config.toml",
        &format!(
            "# {HOSTILE}\ndata = \"cifar10\"\nepochs = {}\nbatch_size = 128\nlabel_smoothing = 0.1\n\n\
             [model]\npreset = \"cifar\"\n\n[schedule]\npeak = 0.004\nname = {HOSTILE:?}\n",
            left.planned
        ),
    );
    let environment = json!({
        "command": ["xception", "train", "--set", "epochs=3 ", "--out", HOSTILE],
        "cpu": "A <fast> CPU", "libtorch": "2.13.0", "commit": null, "threads": left.threads,
    });
    write("env.json", &environment.to_string());
    write("metrics.jsonl", &metrics(left));
    if left.evaluated {
        write("results.json", &json!({ "seconds": 589.0 }).to_string());
        write("evaluation.json", &evaluation(left.classes).to_string());
    }
}

/// Ten steps an epoch; accuracy 50 %, 60 %, 70 %, … on the test set.
fn metrics(left: &Left) -> String {
    let mut text = String::new();
    for epoch in 1..=left.epochs {
        for step in (epoch * 10 - 9)..=(epoch * 10) {
            let loss =
                if left.broken && step == 7 { Value::Null } else { json!(2.0 / step as f64) };
            let line = json!({
                "time": 1_795_515_780.0 + step as f64, "step": step, "epoch": epoch, "train/loss": loss,
                "train/acc1": 1.0 - 1.0 / (step + 1) as f64, "lr": 0.004 / step as f64, "perf/images_per_s": 800.0 + step as f64,
            });
            writeln!(text, "{line}").unwrap();
        }
        let accuracy = (40 + 10 * epoch) as f64 / 100.0;
        let line = json!({
            "time": 1_795_516_380.0, "step": epoch * 10, "epoch": epoch, "val/loss": 1.0 / epoch as f64,
            "val/acc1": accuracy, "val/acc5": 0.9,
        });
        writeln!(text, "{line}").unwrap();
    }
    if left.broken {
        text.push_str("{\"time\":1,\"step\":");
    }
    text
}

/// Of each class 75 of 100 right and 25 taken for the next one.
fn evaluation(classes: usize) -> Value {
    let mut names: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
    names[classes - 1] = HOSTILE.to_string();
    let row = |class: usize| {
        let mut row = vec![0; classes];
        (row[class], row[(class + 1) % classes]) = (75, 25);
        row
    };
    let scores = json!({ "precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 100 });
    let bin = |number: u64| match number {
        14 => json!({ "count": 100 * classes, "confidence": 0.85, "accuracy": 0.75 }),
        _ => json!({ "count": 0, "confidence": null, "accuracy": null }),
    };
    let mistake = |index: usize| json!({ "index": index, "label": index, "predicted": classes - 1, "probability": 0.99, "png": PNG });
    json!({
        "data": "cifar10", "class_names": names, "images": 100 * classes, "top1": 0.75, "top5": 0.9, "loss": 0.5,
        "ece": 0.1, "confusion": (0..classes).map(row).collect::<Vec<_>>(), "classes": vec![scores; classes],
        "calibration": (0..15).map(bin).collect::<Vec<_>>(), "mistakes": [mistake(0), mistake(1), mistake(2)],
        "first_layer": { "shape": [2, 3, 3, 3], "weights": (-27..27).map(f64::from).collect::<Vec<_>>() },
    })
}
