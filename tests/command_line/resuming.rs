//! A run that is interrupted, however and however often, ends as the one that was not.

mod fine_tuning;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{train_on_one_thread, xception};

/// Three small recipes: the default one, one with everything that remembers or draws something, and one on images with several
/// labels.
const RECIPES: [&[&str]; 3] = [
    &["--recipe", "quick", "--data", "synthetic", "--set", "epochs=2", "--set", "log_every=10"],
    &[
        "--recipe",
        "notebook",
        "--preset",
        "cifar",
        "--set",
        "epochs=2",
        "--set",
        "batch_size=100",
        "--set",
        "accumulation=2",
        "--set",
        "precision=bf16",
        "--set",
        "optimizer={ name = 'muon', momentum = 0.9, nesterov = true, iterations = 3, precision = 'fp32', weight_decay = \
         0.1, others_learning_rate_factor = 0.5, others = { name = 'sgd', momentum = 0.9, nesterov = true, weight_decay \
         = 5e-4, decays = 'weights' } }",
        "--set",
        "average={ name = 'ema', decay = 0.99, every = 1, warmup = 'ramp' }",
        "--set",
        "clipping={ max_norm = 1.0 }",
        "--set",
        "model.dropout=0.2",
        "--set",
        "augmentation.policy={ name = 'trivial-augment' }",
        "--set",
        "augmentation.mix={ name = 'cutmix', alpha = 1.0 }",
        "--set",
        "progressive=[{ until = 0.5, size = 24 }, { until = 1.0, size = 32 }]",
        "--set",
        "log_every=7",
        "--set",
        "imbalance.sampling=equal",
        "--set",
        "imbalance.loss_weights=inverse-frequency",
        "--set",
        "training_set.validation=0.1",
        "--set",
        "early_stopping.patience=5",
        "--data",
        "synthetic",
    ],
    &[
        "--data",
        "synthetic-multi",
        "--set",
        "epochs=2",
        "--set",
        "batch_size=100",
        "--set",
        "augmentation.mix={ name = 'mixup', alpha = 1.0 }",
        "--set",
        "multi_label.positive_weights=balanced",
        "--set",
        "log_every=10",
    ],
];

const NETWORK: [&str; 2] = [
    "--set",
    "model.scale={ width = 0.05, middle_modules = 0, stem_stride = 2, entry_strides = [2, 1, 1] }",
];

/// The signal that ends a process.
#[derive(Debug, Clone, Copy)]
enum Signal {
    Kill,
    Terminate,
    Interrupt,
}

/// Starts `xception train` in `folder`, on one thread, so that the machine's load decides nothing.
fn start(folder: &Path, arguments: &[&str]) -> Child {
    train_on_one_thread(folder, arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

/// Waits until `ready` and sends `signal`; returns the exit code and stderr.
fn end(mut child: Child, signal: Signal, ready: impl Fn() -> bool) -> (Option<i32>, String) {
    let patience = Instant::now() + Duration::from_secs(120);
    while !ready() && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < patience, "it never came to that");
        std::thread::sleep(Duration::from_millis(1));
    }
    match signal {
        Signal::Kill => child.kill().unwrap(),
        Signal::Terminate | Signal::Interrupt => {
            let name = if matches!(signal, Signal::Interrupt) { "-INT" } else { "-TERM" };
            Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
        }
    }
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

/// Lines of `metrics.jsonl`, without the values that depend on a clock.
fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    // The last line may be on its way.
    let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    whole
        .map(|mut line| {
            line.as_object_mut()
                .unwrap()
                .retain(|key, _| key != "time" && !key.starts_with("perf/"));
            line
        })
        .collect()
}

fn step(run: &Path) -> u64 {
    metrics(run).last().map_or(0, |line| line["step"].as_u64().unwrap())
}

fn measured(run: &Path) -> usize {
    metrics(run).iter().filter(|line| line.get("val/loss").is_some()).count()
}

/// The times that the run was resumed.
fn resumed(run: &Path) -> Vec<Value> {
    let text = fs::read(run.join("env.json")).unwrap_or_default();
    let document = serde_json::from_slice::<Value>(&text).unwrap_or_default();
    document["resumed"].as_array().cloned().unwrap_or_default()
}

fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(run.join("checkpoints")) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Whether a checkpoint is half-written at this moment.
fn saving(run: &Path) -> bool {
    checkpoints(run).iter().any(|path| path.extension().is_some_and(|end| end == "tmp"))
}

/// The files of the last checkpoint that do not depend on a clock: position, weights, optimizer, average.
fn last_checkpoint(run: &Path) -> Vec<Option<Vec<u8>>> {
    let last = checkpoints(run).pop().expect("a checkpoint");
    assert!(last.join("manifest.json.sha256").is_file());
    let names = ["state.json", "model.safetensors", "optimizer.safetensors", "average.safetensors"];
    names.map(|name| fs::read(last.join(name)).ok()).into()
}

#[test]
fn interrupted_runs_end_as_straight_ones_to_the_bit() {
    for recipe in RECIPES {
        let folder = TempDir::new().unwrap();
        let folder = folder.path();
        let begin: Vec<&str> = recipe.iter().chain(&NETWORK).copied().collect();
        let straight = start(folder, &[begin.as_slice(), &["--out", "straight"]].concat());
        let run = folder.join("run");
        let mut child = start(folder, &[begin.as_slice(), &["--out", "run"]].concat());
        let resume = ["--resume", "run"];
        let often = ["--resume", "run", "--set", "checkpoints.every_minutes=0"];

        // Before the first checkpoint: nothing is saved, and the run starts again.
        let (code, _) = end(child, Signal::Kill, || step(&run) >= 10);
        assert_eq!((code, checkpoints(&run).len()), (None, 0));
        // Inside an epoch, asked to.
        child = start(folder, &resume);
        let times = |count| resumed(&run).len() == count;
        let (code, said) = end(child, Signal::Terminate, || times(1) && step(&run) >= 30);
        assert_eq!(code, Some(143), "{said}");
        assert!(said.contains("saved; resume with `xception train --resume run`"), "{said}");
        // During a save.
        child = start(folder, &often);
        end(child, Signal::Kill, || times(2) && step(&run) >= 50 && saving(&run));
        // At the end of an epoch, while it is measured or after it was.
        child = start(folder, &resume);
        let ends_epoch = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.trim_start_matches("step-").parse::<u64>().is_ok_and(|step| step >= 79)
        };
        end(child, Signal::Kill, || times(3) && checkpoints(&run).iter().any(ends_epoch));
        child = start(folder, &resume);
        let (code, said) = end(child, Signal::Interrupt, || times(4) && measured(&run) == 1);
        assert_eq!(code, Some(130), "{said}");
        // As soon as it runs again.
        child = start(folder, &often);
        end(child, Signal::Kill, || times(5) && step(&run) >= 110);

        let ended = xception_on_one_thread(folder, &resume);
        assert_eq!(ended.0, Some(0), "{}", ended.1);
        let straight_code = straight.wait_with_output().unwrap().status.code();
        assert_eq!(straight_code, Some(0));
        let straight = folder.join("straight");
        assert_eq!(metrics(&run), metrics(&straight));
        assert!(last_checkpoint(&run) == last_checkpoint(&straight), "other bits");
        for name in ["last.safetensors", "best.safetensors"] {
            let read = |run: &Path| fs::read(run.join(name)).unwrap();
            assert!(read(&run) == read(&straight), "{name}");
        }
        assert_eq!(resumed(&run).len(), 6);

        // A run that is over is measured again and says the same.
        let again = xception_on_one_thread(folder, &resume);
        assert_eq!(again.0, Some(0), "{}", again.1);
        assert_eq!(metrics(&run), metrics(&straight));
    }
}

fn xception_on_one_thread(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = start(folder, arguments).wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Epochs of a fraction of a second are not saved one by one, the last one is, and the key may change on the way.
#[test]
fn ends_of_epochs_that_follow_closely_are_not_all_saved() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let train = |arguments: &[&str]| {
        let output = train_on_one_thread(folder, arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let begin = |name, seconds| {
        let more = ["--out", name, "--set", "epochs=3", "--set", "checkpoints.keep=9", "--set"];
        train(&[RECIPES[0], &NETWORK, &more, &[seconds]].concat());
    };
    begin("apart", "checkpoints.epoch_seconds=1000");
    assert_eq!(saved(&folder.join("apart")), 1, "the last epoch only");
    begin("every", "checkpoints.epoch_seconds=0");
    assert_eq!(saved(&folder.join("every")), 3);
    let weights = |run: &str| fs::read(folder.join(run).join("last.safetensors")).unwrap();
    assert!(weights("apart") == weights("every"));
    train(&["--resume", "apart", "--set", "checkpoints.epoch_seconds=5"]);
}

/// Number of checkpoints of a run.
fn saved(run: &Path) -> usize {
    fs::read_dir(run.join("checkpoints")).unwrap().count()
}

/// Kills a run that saves after every step, at moments spread evenly over one, and resumes it each time.
///
/// XCEPTION_KILLS=200 is the long form.
#[test]
fn a_killed_run_always_has_its_last_step_or_the_one_before() {
    let kills = std::env::var("XCEPTION_KILLS").map_or(5, |count| count.parse().expect("a number"));
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let run = folder.join("run");
    let begin: Vec<&str> = RECIPES[0].iter().chain(&NETWORK).copied().collect();
    let endless = ["--out", "run", "--set", "epochs=1000", "--set", "log_every=1"];
    let every_step = ["--set", "checkpoints.every_minutes=0"];
    let mut child = start(folder, &[begin.as_slice(), &endless, &every_step].concat());
    let mut seen = 0;
    for kill in 0..kills {
        // A step and its checkpoint take some tens of milliseconds.
        let pause = Duration::from_micros(kill * 7919 % 50_000);
        let (_, said) = end(child, Signal::Kill, || {
            let on_its_way = step(&run) > seen + 1;
            if on_its_way {
                std::thread::sleep(pause);
            }
            on_its_way
        });
        let logged = step(&run);
        child = start(folder, &["--resume", "run"]);
        let patience = Instant::now() + Duration::from_secs(60);
        let resumed_from = loop {
            let resumed = resumed(&run);
            if resumed.len() as u64 == kill + 1 {
                break resumed[kill as usize]["from_step"].as_u64().unwrap();
            }
            assert!(Instant::now() < patience, "not resumed after kill {kill}: {said}");
            assert!(child.try_wait().unwrap().is_none(), "ended after kill {kill}");
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(
            resumed_from + 1 >= logged && resumed_from > 0,
            "kill {kill}: {logged} steps were logged, resumed from {resumed_from}"
        );
        seen = resumed_from;
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_does_not_resume_as_another_one() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let begin: Vec<&str> = RECIPES[0].iter().chain(&NETWORK).copied().collect();
    let child = start(folder, &[begin.as_slice(), &["--out", "run"]].concat());
    let run = folder.join("run");
    end(child, Signal::Terminate, || step(&run) >= 10);
    let refused = |arguments: &[&str], code: i32, expected: &[&str]| {
        let ended = xception(folder, &[&["train", "--resume", "run"], arguments].concat());
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        for words in expected {
            assert!(ended.stderr.contains(words), "{words:?}: {}", ended.stderr);
        }
    };
    let other = ["--set", "epochs=3", "--set", "schedule.peak=0.1"];
    refused(
        &other,
        2,
        &[
            "this is not the run that was begun",
            "epochs: it was 2, now it is 3",
            "schedule.peak: it was 0.004, now it is 0.1",
        ],
    );
    refused(&["--recipe", "notebook"], 2, &["epochs: it was 2, now it is 10"]);
    let batch =
        "batch_size: it was 128 on one rank, now it is 64 on one rank; the product has to stay";
    refused(&["--set", "batch_size=64"], 2, &[batch]);
    refused(&["--out", "elsewhere"], 2, &["cannot be used with"]);

    // Edited by hand, it is no more the same run than if it was typed.
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    fs::write(run.join("config.toml"), config.replace("seed = 0", "seed = 1")).unwrap();
    refused(&[], 2, &["seed: it was 0, now it is 1"]);
    fs::write(run.join("config.toml"), config).unwrap();

    // Nothing of the run was touched by all this, and a damaged checkpoint is said and not used.
    let only = checkpoints(&run).pop().unwrap();
    let state = fs::read(only.join("state.json")).unwrap();
    fs::write(only.join("state.json"), &state[1..]).unwrap();
    refused(&[], 4, &["skipped", "state.json has", "no valid checkpoint"]);
    fs::write(only.join("state.json"), state).unwrap();

    // Before its first checkpoint a run starts again with the same settings, or not at all.
    let log = fs::read(run.join("metrics.jsonl")).unwrap();
    fs::rename(run.join("checkpoints"), folder.join("aside")).unwrap();
    refused(&[], 4, &["has trained, and", "is not there any more"]);
    fs::create_dir(run.join("checkpoints")).unwrap();
    refused(
        &["--set", "batch_size=64"],
        2,
        &["now it is 64 on one rank, and there is no checkpoint"],
    );
    let environment = fs::read_to_string(run.join("env.json")).unwrap();
    fs::write(run.join("env.json"), environment.replace("\"ranks\": 1", "\"ranks\": 2")).unwrap();
    refused(&[], 2, &["it was 128 on each of 2 ranks, now it is 128 on one rank, and there is no"]);
    fs::write(run.join("env.json"), environment).unwrap();
    fs::remove_dir(run.join("checkpoints")).unwrap();
    fs::rename(folder.join("aside"), run.join("checkpoints")).unwrap();
    assert!(fs::read(run.join("metrics.jsonl")).unwrap() == log);

    // Another process has it.
    let child = start(folder, &["--resume", "run"]);
    let before = step(&run);
    let busy = std::cell::Cell::new(false);
    let (code, said) = end(child, Signal::Interrupt, || {
        if step(&run) > before && !busy.replace(true) {
            refused(&[], 2, &["run is in use by process"]);
        }
        busy.get()
    });
    assert_eq!(code, Some(130), "{said}");
    refused(&["--data", "cifar10"], 3, &["cifar10 was asked for"]);
}
