//! Several ranks of one run: they end as one, and none waits for another that is gone.

mod archives;
mod meeting;
mod restarts;

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::train_on_one_thread;

/// A run of a few seconds.
const RUN: [&str; 10] = [
    "--data",
    "synthetic",
    "--set",
    "epochs=2",
    "--set",
    "batch_size=64",
    "--set",
    "log_every=10",
    "--set",
    "model.scale={ width = 0.05, middle_modules = 0, stem_stride = 2, entry_strides = [2, 1, 1] }",
];

/// The longest that a rank may wait for one that is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// `xception train` as `rank` of two, with `changes` to the environment that a launcher makes.
fn rank(
    folder: &Path,
    rank: usize,
    port: u16,
    arguments: &[&str],
    changes: &[(&str, &str)],
) -> Child {
    let number = rank.to_string();
    train_on_one_thread(folder, arguments)
        .envs([("RANK", number.as_str()), ("LOCAL_RANK", &number), ("WORLD_SIZE", "2")])
        .envs([("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", &port.to_string())])
        .envs(changes.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

/// Both ranks with the same arguments.
fn ranks(folder: &Path, arguments: &[&str]) -> [Child; 2] {
    let port = port();
    [0, 1].map(|number| rank(folder, number, port, arguments, &[]))
}

/// A port that is free now.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Its exit code, stdout and stderr.
fn ended(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), stdout, stderr)
}

/// Waits for `child` no longer than is allowed; returns its exit code and stderr.
fn ended_in_time(child: &mut Child) -> (Option<i32>, String) {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("a rank waits for ever");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

fn signal(child: &Child, name: &str) {
    Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
}

/// Waits until the run has logged `count` lines.
fn wait_for_lines(run: &Path, count: usize) {
    let patience = Instant::now() + Duration::from_secs(60);
    let lines =
        || fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default().lines().count();
    while lines() < count {
        assert!(Instant::now() < patience, "it never came to that");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("last.safetensors")).unwrap()
}

/// Trains to the end; returns rank 0's stderr.
#[track_caller]
fn train(folder: &Path, arguments: &[&str]) -> String {
    let [leader, other] = ranks(folder, arguments);
    let (code, _, said) = ended(leader);
    assert_eq!(code, Some(0), "{said}");
    let (code, shown, said_by_other) = ended(other);
    assert_eq!(code, Some(0), "{said_by_other}");
    assert_eq!((shown.as_str(), said_by_other.as_str()), ("", ""), "only rank 0 talks");
    said
}

#[test]
fn two_ranks_train_one_network_twice_the_same() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let [first, second] = ["first", "second"].map(|out| {
        let said = train(folder, &[RUN.as_slice(), &["--out", out]].concat());
        assert!(
            said.contains("64 × 2 ranks, learning rate × 2 (linear scaling) · 158 steps"),
            "{said}"
        );
        folder.join(out)
    });
    assert!(weights(&first) == weights(&second), "other bits");
    let log = fs::read_to_string(first.join("rank-1.log")).unwrap();
    assert!(log.contains("rank 1 of 2") && log.contains("epoch  2/2"), "{log}");
    let environment = fs::read_to_string(first.join("env.json")).unwrap();
    assert!(environment.contains("\"ranks\": 2"), "{environment}");
    let results = fs::read_to_string(first.join("results.json")).unwrap();
    assert!(results.contains("\"images\": 2000"), "the whole test set: {results}");
}

#[test]
fn statistics_may_be_those_of_all_ranks_and_the_rate_its_own() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let options = "ranks={ learning_rate = 'unscaled', batch_norm = 'synchronised' }";
    let set = ["--set", options, "--set", "epochs=1"];
    let said = train(folder, &[RUN.as_slice(), &set, &["--out", "run"]].concat());
    assert!(said.contains("2 ranks, learning rate as it is (ranks.learning_rate)"), "{said}");
}

/// A killed rank and a stopped one, each of the two: the other leaves and names it, and the run resumes from its last
/// checkpoint to the weights of an undisturbed run.
#[test]
fn a_rank_that_is_gone_is_named_and_the_run_resumes() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    train(folder, &[RUN.as_slice(), &["--out", "straight"]].concat());

    let run = folder.join("run");
    let often = ["--set", "checkpoints.every_minutes=0"];
    let mut pair = ranks(folder, &[RUN.as_slice(), &often, &["--out", "run"]].concat());
    let cases = [(1, "-KILL"), (0, "-KILL"), (1, "-STOP"), (0, "-STOP")];
    for (count, (gone, name)) in cases.into_iter().enumerate() {
        wait_for_lines(&run, 2 + count);
        signal(&pair[gone], name);
        let (code, said) = ended_in_time(&mut pair[1 - gone]);
        pair[gone].kill().unwrap();
        pair[gone].wait().unwrap();
        assert_eq!(code, Some(7), "{said}");
        assert!(said.contains(&format!("rank {gone} of 2")), "{name} {gone}: {said}");
        assert!(
            said.contains("resume from the last checkpoint with `xception train --resume run`"),
            "{said}"
        );
        pair = ranks(folder, &["--resume", "run", "--set", "checkpoints.every_minutes=0"]);
    }
    for child in pair {
        let (code, _, said) = ended(child);
        assert_eq!(code, Some(0), "{said}");
    }
    assert!(weights(&run) == weights(&folder.join("straight")), "other bits");
}

#[test]
fn asked_to_stop_all_ranks_stop_after_the_same_step_and_one_can_resume_alone() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let [mut leader, mut other] = ranks(folder, &[RUN.as_slice(), &["--out", "run"]].concat());
    wait_for_lines(&folder.join("run"), 2);
    signal(&other, "-TERM");
    for child in [&mut leader, &mut other] {
        let (code, said) = ended_in_time(child);
        assert_eq!(code, Some(143), "{said}");
    }
    let alone =
        |set: &[&str]| super::xception(folder, &[&["train", "--resume", "run"], set].concat());
    let refused = alone(&[]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains(
            "batch_size: it was 64 on each of 2 ranks, now it is 64 on one rank; the product has to stay"
        ),
        "{}",
        refused.stderr
    );
    let resumed = alone(&["--set", "batch_size=128"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    assert!(resumed.stderr.contains("in batches of 128 · 158 steps"), "{}", resumed.stderr);
}

#[test]
fn ranks_that_differ_are_refused_and_leave_no_folder() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let port = port();
    let begin = [RUN.as_slice(), &["--out", "run"]].concat();
    let mut leader = rank(folder, 0, port, &begin, &[]);
    let other = [begin.as_slice(), &["--set", "seed=3"]].concat();
    let mut other = rank(folder, 1, port, &other, &[]);
    let (code, said) = ended_in_time(&mut other);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("recipe.seed: on rank 0 it is 0, here 3"), "{said}");
    let (code, said) = ended_in_time(&mut leader);
    assert_eq!(code, Some(7), "{said}");
    assert!(
        said.contains("rank 1 of 2") && said.contains("this rank is not the same as rank 0"),
        "{said}"
    );
    assert!(!folder.join("run").exists());
}

#[test]
fn a_launcher_is_told_the_error() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let port = port();
    let begin = [RUN.as_slice(), &["--out", "run", "--set", "schedule.peak=1e30"]].concat();
    let [mut leader, mut other] = [0, 1].map(|number| {
        let file = folder.join(format!("error-{number}.json")).display().to_string();
        rank(folder, number, port, &begin, &[("TORCHELASTIC_ERROR_FILE", &file)])
    });
    for child in [&mut leader, &mut other] {
        // All of them meet it, and none leaves because of another.
        assert_eq!(ended_in_time(child).0, Some(5));
    }
    let text = fs::read_to_string(folder.join("error-0.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let message = document["message"]["message"].as_str().unwrap();
    assert!(message.starts_with("xception: the loss became"), "{message}");
    assert!(document["message"]["extraInfo"]["timestamp"].is_string());
}

#[test]
fn a_launcher_that_forgets_something_is_told() {
    let folder = TempDir::new().unwrap();
    for (changes, expected) in [
        ([("MASTER_ADDR", "")], "environment variable MASTER_ADDR expected, but not set"),
        ([("WORLD_SIZE", "two")], "environment variable WORLD_SIZE is \"two\""),
        (
            [("RANK", "2")],
            "environment variable RANK is \"2\", expected below WORLD_SIZE, which is 2",
        ),
    ] {
        let (code, _, said) = ended(rank(folder.path(), 0, 1, &RUN, &changes));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let restarts = [("TORCHELASTIC_MAX_RESTARTS", "1")];
    let port = port();
    for child in [0, 1].map(|number| rank(folder.path(), number, port, &RUN, &restarts)) {
        let (code, _, said) = ended(child);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("must know its folder: give it one with --out"), "{said}");
    }
}
