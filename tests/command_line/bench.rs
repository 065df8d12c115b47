//! The output of `xception bench`, for people, for programs and for programs that time it in turns.

use std::process::Command;

use serde_json::Value;

use super::{binary, json, xception, xception_told};

/// The document of `bench --json` with these arguments, in words.
fn bench(arguments: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let arguments: Vec<&str> =
        ["bench", "--json"].into_iter().chain(arguments.split(' ')).collect();
    json(&xception(folder.path(), &arguments))
}

#[test]
fn a_benchmark_says_what_it_timed() {
    for mode in ["train", "infer"] {
        let bench = bench(&format!(
            "--preset plain-shared --mode {mode} --batch-size 2 --precision fp32 --steps 2"
        ));
        let said = ["preset", "mode", "batch_size", "input", "precision", "layout"]
            .map(|key| bench[key].to_string());
        assert_eq!(
            said,
            [
                "\"plain-shared\"".into(),
                format!("\"{mode}\""),
                "2".into(),
                "32".into(),
                "\"fp32\"".into(),
                "\"channels_last\"".into()
            ]
        );
        let (rate, step) =
            (bench["img_per_s"].as_f64().unwrap(), bench["ms_per_step"].as_f64().unwrap());
        assert!((rate * step / 2000.0 - 1.0).abs() < 1e-9, "{bench}");
        assert!(bench["threads"].as_u64() > Some(0));
    }
}

/// A lesser CPU is asked for by an option, and by libtorch's own variable for it.
#[test]
fn a_benchmark_is_held_to_an_instruction_set() {
    let small = "--preset plain-shared --batch-size 2 --precision fp32 --steps 1";
    assert_eq!(bench(&format!("{small} --instructions portable"))["instruction_set"], "Portable");
    let mut command = Command::new(binary());
    command.args(["bench", "--json"]).args(small.split(' ')).env("ATEN_CPU_CAPABILITY", "default");
    let ended = command.output().unwrap();
    let document: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(document["instruction_set"], "Portable");
}

#[test]
fn a_benchmark_on_request_times_a_round_for_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        ["bench", "--preset", "plain-shared", "--batch-size", "2", "--precision", "fp32"];
    let arguments = [&arguments[..], &["--threads", "1", "--on-request", "0"]].concat();
    let ended = xception_told(folder.path(), &arguments, "round\nround\n");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines: Vec<Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{}", ended.stdout);
    assert_eq!((&lines[0]["ready"], &lines[0]["threads"]), (&true.into(), &1.into()));
    assert_eq!(lines[0]["precision"], "fp32");
    for round in &lines[1..] {
        assert_eq!(round["steps"], 1);
        assert!(round["ms_per_step"].as_f64() > Some(0.0), "{round}");
    }
}

/// The rows of `bench --layers --json` on a small network.
fn layers(mode: &str) -> Vec<Value> {
    let table = bench(&format!(
        "--preset cifar --width 0.1 --mode {mode} --batch-size 2 --precision fp32 --steps 1 --layers"
    ));
    assert!(table["gflop_per_s"].as_f64() > Some(0.0) && table["gb_per_s"].as_f64() > Some(0.0));
    table["layers"].as_array().unwrap().clone()
}

#[test]
fn layers_are_timed_both_ways() {
    let rows = layers("train");
    let (optimizer, rows) = rows.split_last().unwrap();
    assert_eq!(optimizer["name"], "optimizer");
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["conv1", "conv2", "block1.skip"]);
    assert_eq!(names[names.len() - 3..], ["conv3", "conv4", "fc"]);
    for row in rows {
        for key in ["forward_ms", "backward_ms", "limit_ms"] {
            assert!(row[key].as_f64() > Some(0.0), "{key} in {row}");
        }
    }
    let forward = layers("infer");
    assert!(
        forward.iter().all(|row| row["backward_ms"].is_null() && row["ms"].as_f64() > Some(0.0))
    );
}

#[test]
fn only_one_preset_has_a_width() {
    let scaled = bench("--preset cifar --mode infer --steps 1 --batch-size 1 --width 0.25");
    assert_eq!(scaled["width"], 0.25);
    let folder = tempfile::tempdir().unwrap();
    let ended = xception(folder.path(), &["bench", "--width", "2"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("--width scales preset 'cifar' only, not 'notebook-cifar10'"),
        "{}",
        ended.stderr
    );
    let ended = xception(folder.path(), &["bench", "--preset", "cifar", "--width", "9"]);
    assert!(ended.stderr.contains("width must be between 0.05 and 4"), "{}", ended.stderr);
}
