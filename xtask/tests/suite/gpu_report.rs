//! `gpu-report` on records made here: its tables, its provenance, and what it refuses.

use std::fs;

use serde_json::{Value, json};

use super::command_line::{Home, Outcome};

const PAGE: &str = "workspace/docs/measurements/gpu.md";

/// A home with a page whose text outside the markers must stay.
fn home() -> Home {
    let home = Home::new();
    fs::create_dir_all(home.path("workspace/docs/measurements")).unwrap();
    fs::create_dir_all(home.path("out/results")).unwrap();
    let page = "# By hand\n\n<!-- gpu-report: begin -->\nold\n<!-- gpu-report: end -->\n\nBelow, 3.77 ms.\n";
    fs::write(home.path(PAGE), page).unwrap();
    home
}

fn add(home: &Home, step: &str, exit: i64, about: Value, documents: &[Value]) {
    let record = json!({
        "step": step, "dry_run": false, "exit": exit, "seconds": 12.34, "limit": 60,
        "date": format!("2026-12-01T10:00:{:02}Z", fs::read_dir(home.path("out/results")).unwrap().count()),
        "about": about, "documents": documents, "tests": null,
    });
    fs::write(home.path(&format!("out/results/{step}.json")), record.to_string()).unwrap();
}

fn add_machine(home: &Home) {
    let about =
        json!({"commit": "0123456789ab", "changed": "yes", "tch": "0.24.0", "libtorch": "2.11.0"});
    let gpu =
        json!({"name": "NVIDIA H100", "driver_version": "580.1", "memory.total": "81559 MiB"});
    let found = json!({
        "gpu": gpu, "torch": "2.11.0+cu130", "cuda": "13.0", "cudnn": 91900, "python": "3.12.3", "cores": 16,
    });
    add(home, "machine", 0, about, &[found]);
}

fn report(home: &Home) -> Outcome {
    home.run(&["gpu-report", "out"])
}

#[track_caller]
fn page_has(home: &Home, texts: &[&str]) {
    let page = fs::read_to_string(home.path(PAGE)).unwrap();
    for text in texts {
        assert!(page.contains(text), "no {text:?} in:\n{page}");
    }
}

#[test]
fn tables_stand_between_the_markers_with_their_provenance() {
    let home = home();
    add_machine(&home);
    let ready = json!({
        "ready": true, "preset": "notebook-cifar10", "mode": "train", "batch_size": 128, "precision": "bf16",
    });
    let round = |ms: f64| json!({"ms_per_step": ms, "steps": 250});
    let about = json!({"program": "xception", "launch": "eager"});
    add(&home, "ours", 0, about, &[ready, round(4.0), round(3.5), round(5.25)]);
    let way = json!({
        "network": "notebook-cifar10", "mode": "train", "batch_size": 128, "way": "graph-nobench",
        "ms_per_step": 3.2, "smallest": 3.1, "largest": 3.3, "rounds": 5,
    });
    let failed = json!({"network": "xception", "mode": "train", "batch_size": 128, "way": "graph", "failed": "x"});
    add(&home, "pytorch", 1, json!({}), &[way, failed]);
    add(
        &home,
        "ceilings",
        0,
        json!({}),
        &[json!({"copy_tb_per_s": 3.012, "bf16_tflop_per_s": 701.7, "times": 20})],
    );
    add(&home, "pytorch-slow", 124, json!({}), &[]);
    report(&home).expect(0, &["wrote 5 records into docs/measurements/gpu.md"]);
    page_has(
        &home,
        &[
            "# By hand\n\n<!-- gpu-report: begin -->\n\n`cargo xtask gpu-report`",
            "<!-- gpu-report: end -->\n\nBelow, 3.77 ms.\n",
            "Machine: NVIDIA H100 (81559 MiB), driver 580.1, 16 CPU cores.\n",
            "Libraries: PyTorch 2.11.0+cu130 with CUDA 13.0 and cuDNN 91900, Python 3.12.3.\n",
            "commit 0123456789ab, with changes that are not in it, libtorch 2.11.0 through tch 0.24.0.\n",
            "5 steps between 2026-12-01T10:00:00Z and 2026-12-01T10:00:04Z;",
            "Failed: `pytorch` (exit code 1), `pytorch-slow` (its time was over).\n",
            "| 3.01 TB/s | 702 TFLOP/s | 20 |\n",
            "| notebook-cifar10, train, 128 | PyTorch, graph-nobench | 3.20 (3.10 to 3.30) | 40000 | 5 |\n\
             | notebook-cifar10, train, 128 | `xception`, launch eager, bf16 | 4.00 (3.50 to 5.25) | 32000 | 3 |\n",
        ],
    );
    assert!(!fs::read_to_string(home.path(PAGE)).unwrap().contains("old"));
}

#[test]
fn runs_of_several_seeds_are_one_row() {
    let home = home();
    add_machine(&home);
    for (seed, top1, seconds) in [(0, 0.68, 100.0), (1, 0.69, 102.0), (2, 0.65, 101.0)] {
        let about = json!({"program": "xception", "recipe": "notebook"});
        let results = json!({"epochs": 10, "last": {"top1": top1}, "seconds": seconds});
        add(&home, &format!("train-{seed}"), 0, about, &[results]);
    }
    let listing = json!({
        "program": "pytorch-graph", "recipe": "notebook", "epochs": 10, "top1": 0.66, "seconds": 90.0,
    });
    add(&home, "listing", 0, json!({}), &[listing]);
    report(&home).expect(0, &[]);
    page_has(
        &home,
        &[
            "| notebook | `pytorch-graph` | 10 | 66.00 (66.00 to 66.00) | 90.0 (90.0 to 90.0) | 1 |\n\
             | notebook | `xception` | 10 | 68.00 (65.00 to 69.00) | 101.0 (100.0 to 102.0) | 3 |\n",
        ],
    );
}

#[test]
fn tests_kernels_and_first_steps_have_their_tables() {
    let home = home();
    add_machine(&home);
    add(&home, "first-steps-xception-128", 0, json!({"shape": "xception:128"}), &[]);
    let kernels = json!({
        "network": "xception", "mode": "infer", "batch_size": 128, "choice": "heuristic",
        "ms_per_step": 20.25, "kernels_per_step": 362.0, "kernels": [[4.689, 40.0, "void norm<a|b>"]],
    });
    add(&home, "kernels", 0, json!({}), &[kernels]);
    let shape = json!({
        "shape": [128, 728, 37, 37], "benchmark": false, "times": 10,
        "forward": [274.6, 0.44], "input": [523.6, 0.23], "weight": [323.6, 0.38],
    });
    add(&home, "depthwise", 0, json!({}), &[shape]);
    let path = home.path("out/results/tests-golden.json");
    add(&home, "tests-golden", 101, json!({}), &[]);
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["tests"] = json!({"passed": 6, "failed": 1});
    fs::write(&path, record.to_string()).unwrap();
    report(&home).expect(0, &[]);
    page_has(
        &home,
        &[
            "| `tests-golden` | 6 passed, 1 failed, the program did not end well |\n",
            "| xception, 128 | 12.3 |\n",
            "### Kernels of xception, infer, 128 images\n",
            "cuDNN's choice by rule: 20.25 ms in 362 kernels a step.\n",
            "| 4.689 | 40 | `void norm<a b>` |\n",
            "| 128 × 728 × 37 × 37 | by rule | 274.6 (0.44) | 523.6 (0.23) | 323.6 (0.38) | 10 |\n",
        ],
    );
}

#[test]
fn what_cannot_be_a_result_is_refused_and_the_page_stays() {
    let home = home();
    let before = fs::read_to_string(home.path(PAGE)).unwrap();
    report(&home).expect(2, &["has no records (*.json): name the folder"]);
    home.run(&["gpu-report", "nowhere"]).expect(2, &["nowhere: No such file"]);
    add(&home, "ceilings", 0, json!({}), &[]);
    report(&home).expect(1, &["no record of the step `machine`"]);
    add_machine(&home);
    fs::write(home.path("out/results/x.json"), "{\"step\": 3}").unwrap();
    report(&home).expect(1, &["x.json: no record of a campaign's step: no text under `step`"]);
    fs::write(home.path("out/results/x.json"), "{\"dry_run\": true}").unwrap();
    report(&home).expect(1, &["it is of a dry run, which measures nothing"]);
    assert_eq!(fs::read_to_string(home.path(PAGE)).unwrap(), before);
}
