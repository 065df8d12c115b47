//! `peers` with shell scripts for workers: whose turn it is, who is stopped, and what becomes of one that dies.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::peers::race::{self, Outcome, Rules};

use super::command_line::{Home, outcome};
use super::orchestration::executable;

const RULES: Rules = Rules {
    rounds: 3,
    rest: Duration::ZERO,
    start_limit: Duration::from_secs(60),
    round_limit: Duration::from_secs(60),
};

/// Says that it is ready, and runs `round` for every line.
fn script(round: &str) -> String {
    format!("echo '{{\"ready\": true}}'\nwhile read line; do\n{round}\ndone")
}

fn race(folder: &Path, rules: &Rules, scripts: &[(&str, &str)]) -> Vec<Outcome> {
    let contenders = scripts.iter().map(|(name, script)| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(folder);
        ((*name).to_owned(), command)
    });
    race::run(contenders.collect(), rules, folder)
}

fn failure(outcome: &Outcome) -> &str {
    outcome.failure.as_deref().unwrap_or("none")
}

#[test]
fn contenders_take_turns_and_only_one_runs() {
    let folder = tempfile::tempdir().unwrap();
    // Each tells the states of all in its round: T is stopped, and its own is not.
    let round = "for pid in $(cat pids); do cut -d' ' -f3 /proc/$pid/stat | tr -d '\\n'; done >> log\n\
                 echo \" $0\" >> log; echo '{\"ms_per_step\": 2.5, \"steps\": 4}'";
    let script = format!("echo $$ >> pids\n{}", script(round));
    let outcomes = race(folder.path(), &RULES, &[("a", &script), ("b", &script)]);
    for (outcome, name) in outcomes.iter().zip(["a", "b"]) {
        assert_eq!((outcome.name.as_str(), &outcome.failure), (name, &None));
        assert_eq!(outcome.rounds, [2.5; 3]);
        assert_eq!(outcome.ready["ready"], true);
        assert!(outcome.peak_memory > Some(100_000), "{outcome:?}");
    }
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let states: Vec<_> = log.lines().map(|line| [0, 1].map(|at| &line[at..=at] == "T")).collect();
    let turns = [[false, true], [true, false]];
    assert_eq!(states, [turns, turns, turns].concat(), "{log}");
}

#[test]
fn one_that_fails_is_reported_with_its_last_line_and_the_others_continue() {
    let folder = tempfile::tempdir().unwrap();
    let good = script("echo '{\"ms_per_step\": 1}'");
    let dies = script("echo first >&2; printf 'last words\\n\\n' >&2; exit 3");
    let outcomes = race(
        folder.path(),
        &RULES,
        &[
            ("never starts", "echo 'Traceback\nImportError: no x' >&2; exit 1"),
            ("is silent", "exit 0"),
            ("talks", "echo hello"),
            ("dies", &dies),
            ("is killed", &script("kill -9 $$")),
            ("has no time", &script("echo '{\"ms_per_step\": null}'")),
            ("good", &good),
        ],
    );
    for (outcome, expected) in outcomes.iter().zip([
        "ImportError: no x (exit status: 1)",
        "ended without a message (exit status: 0)",
        "said \"hello\" where {\"ready\": true} was due",
        "last words (exit status: 3)",
        "ended without a message (signal: 9 (SIGKILL))",
        "said \"{\\\"ms_per_step\\\": null}\" where a positive \"ms_per_step\" was due",
        "none",
    ]) {
        assert_eq!(failure(outcome), expected, "{}", outcome.name);
    }
    assert_eq!(outcomes[6].rounds.len(), 3);
    assert_eq!((&outcomes[0].ready, outcomes[3].peak_memory), (&Value::Null, None));
}

#[test]
fn a_program_that_is_not_there_and_one_that_hangs_are_failures() {
    let folder = tempfile::tempdir().unwrap();
    let missing = vec![("missing".to_owned(), Command::new("/no/such/program"))];
    let outcomes = race::run(missing, &RULES, folder.path());
    assert_eq!(failure(&outcomes[0]).split(':').next(), Some("cannot run /no/such/program"));
    let rules = Rules { start_limit: Duration::from_millis(200), ..RULES };
    let started = Instant::now();
    let outcomes = race(folder.path(), &rules, &[("hangs", "echo $$ > pid; sleep 60; echo")]);
    assert_eq!(failure(&outcomes[0]), "no answer in 0.2 s");
    assert!(started.elapsed() < Duration::from_secs(30), "it was waited for");
    let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "it is still there");
}

/// A home where cargo builds a fake `xception`, and `python` makes an environment of a fake Python.
///
/// Ours takes 10 ms a step and a peer 25; each says in `log` how it was called.
fn home_with_contenders() -> Home {
    let home = Home::new();
    let log = home.path("log").display().to_string();
    let worker = |precision: &str, milliseconds: u32| {
        format!(
            "echo '{{\"ready\": true, \"precision\": \"{precision}\", \"versions\": {{\"v{milliseconds}\": \"1\"}}}}'\n\
             while read line; do echo '{{\"ms_per_step\": {milliseconds}}}'; done\n"
        )
    };
    executable(
        &home,
        "xception",
        &format!("#!/bin/sh\necho \"ours $*\" >> {log}\n{}", worker("bf16", 10)),
    );
    let message = format!("{{\"executable\": \"{}\"}}", home.path("xception").display());
    executable(
        &home,
        "cargo",
        &format!(
            "#!/bin/sh\necho \"cargo $*\" >> {log}\necho '{{\"executable\": null}}'\necho '{message}'\n"
        ),
    );
    let peer = format!(
        "#!/bin/sh\necho \"python $*\" >> {log}\n\
         case \"$*\" in *' pip '*) exit $PIP_FAILS;; *openvino*bf16*) echo 'no bf16 here' >&2; exit 1;; esac\n{}",
        worker("fp32", 25)
    );
    executable(&home, "peer", &peer);
    let venv = format!(
        "#!/bin/sh\necho \"venv $*\" >> {log}\nmkdir -p \"$3/bin\" && cp {} \"$3/bin/python\"\n",
        home.path("peer").display()
    );
    executable(&home, "python", &venv);
    fs::create_dir_all(home.path("workspace/xtask/peers")).unwrap();
    fs::write(home.path("workspace/xtask/peers/requirements.txt"), "torch==1\n").unwrap();
    fs::create_dir_all(home.path("workspace/libtorch/lib")).unwrap();
    fs::write(home.path("workspace/libtorch/lib/libtorch_cpu.so"), "").unwrap();
    home
}

fn peers(home: &Home, arguments: &[&str]) -> Command {
    let python = home.path("python");
    let mut command = home.command(&["peers", "--python", python.to_str().unwrap()]);
    command.args(arguments).env("CARGO", home.path("cargo")).env("PIP_FAILS", "0");
    command
}

fn log(home: &Home) -> Vec<String> {
    let log = fs::read_to_string(home.path("log")).unwrap_or_default();
    fs::remove_file(home.path("log")).ok();
    log.lines().map(str::to_owned).collect()
}

#[test]
fn a_run_makes_the_environment_once_builds_and_writes_tables() {
    let home = home_with_contenders();
    let arguments = ["--only", "infer-xception-1", "--quick", "--threads", "3", "--out", "result"];
    let output = peers(&home, &arguments).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let calls = log(&home);
    let venv = home.path("cache/peers");
    assert_eq!(calls[0], format!("venv -m venv {}", venv.display()));
    assert!(calls[1].starts_with("python -m pip install --no-input"), "{calls:?}");
    assert_eq!(
        calls[2],
        "cargo build --release --locked --package xception-cli --bin xception \
         --message-format=json-render-diagnostics"
    );
    assert_eq!(
        calls[3],
        "ours bench --preset xception --mode infer --batch-size 1 --precision fp32 --threads 3 \
         --on-request 0.05"
    );
    let worker = home.path("workspace/xtask/peers/worker.py");
    let onnx = home.path("result/infer-xception-1.onnx");
    assert_eq!(
        calls[5],
        format!(
            "python {} --runtime eager --mode infer --network xception --batch-size 1 --precision fp32 \
             --layout nchw --threads 3 --seconds-per-round 0.05 --onnx {}",
            worker.display(),
            onnx.display()
        )
    );
    assert_eq!(calls.len(), 13);

    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(fs::read_to_string(home.path("result/peers.md")).unwrap(), text);
    for expected in [
        "| infer-xception-1 | ours fp32 | PyTorch fp32 NCHW, of fp32 peers |      2.50 |",
        "| ours auto                  | bf16        |     10.00 |",
        "- OpenVINO bf16 failed: no bf16 here (exit status: 1)\n",
        "versions: v10 1, v25 1\n",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
    let document = fs::read_to_string(home.path("result/peers.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["settings"]["threads"], 3);
    assert_eq!(document["workloads"][0]["ratios"][1]["speed"], 2.5);

    outcome(&mut peers(&home, &arguments)).expect(0, &[]);
    assert!(log(&home)[0].starts_with("cargo "), "the environment was made twice");
    fs::write(home.path("workspace/xtask/peers/requirements.txt"), "torch==2\n").unwrap();
    outcome(&mut peers(&home, &arguments)).expect(0, &["makes a virtual environment in"]);
}

#[track_caller]
fn usage_error(arguments: &[&str], expected: &str) {
    let home = home_with_contenders();
    outcome(&mut peers(&home, arguments)).expect(2, &[expected]);
    assert_eq!(log(&home), Vec::<String>::new());
}

#[test]
fn an_unknown_workload_is_a_usage_error() {
    let expected = "--only: no workload `train-all`; there are train-notebook-128,";
    usage_error(&["--only", "train-all"], expected);
}

#[test]
fn no_rounds_are_a_usage_error() {
    usage_error(&["--rounds", "0"], "expected a whole number between 1 and 4096");
}

#[test]
fn a_round_of_more_than_a_minute_is_a_usage_error() {
    usage_error(&["--seconds-per-round", "61"], "expected seconds between 0 and 60");
}

#[test]
fn quick_has_rounds_of_its_own() {
    usage_error(&["--quick", "--rounds", "3"], "cannot be used with");
}

#[test]
fn a_python_that_is_not_there_is_named() {
    let home = home_with_contenders();
    let mut missing = home.command(&["peers", "--python", "/no/py"]);
    outcome(missing.env("CARGO", home.path("cargo")))
        .expect(1, &["cannot run /no/py: name one with --python"]);
}

#[test]
fn a_program_that_is_there_needs_neither_cargo_nor_pip() {
    let home = home_with_contenders();
    let [program, python] = ["xception", "peer"].map(|name| home.path(name).display().to_string());
    let arguments = ["peers", "--only", "infer-xception-1", "--quick", "--out", "result"];
    let mut run = home.command(&arguments);
    run.args(["--prebuilt", &program, "--python", &python]).env("CARGO", "/no/cargo");
    outcome(run.env("PIP_FAILS", "9")).expect(0, &[]);
    let calls = log(&home);
    assert!(calls.iter().all(|call| !call.starts_with("cargo") && !call.contains(" pip ")));
    assert!(calls[0].starts_with("ours bench --preset xception"), "{calls:?}");
    assert_eq!(home.cached(), Vec::<String>::new());
    usage_error(&["--prebuilt", "/no/program"], "--prebuilt /no/program is no file");
}

#[test]
fn an_environment_that_pip_did_not_finish_is_not_whole() {
    let home = home_with_contenders();
    let mut broken = peers(&home, &[]);
    outcome(broken.env("PIP_FAILS", "9"))
        .expect(3, &["pip install of ", "failed (exit status: 9)"]);
    assert!(!home.path("cache/peers/requirements.txt").exists(), "it would be taken for whole");
}

#[test]
fn ours_failing_is_a_failure() {
    let home = home_with_contenders();
    executable(&home, "xception", "#!/bin/sh\necho 'out of memory' >&2; exit 6\n");
    let arguments = ["--only", "train-notebook-16", "--quick", "--out", "result"];
    outcome(&mut peers(&home, &arguments)).expect(
        1,
        &["ours fp32: failed: out of memory (exit status: 6)", "2 of our own timings failed: see "],
    );
    let text = fs::read_to_string(home.path("result/peers.md")).unwrap();
    assert!(text.contains("- ours auto failed: out of memory (exit status: 6)\n"), "{text}");
    assert!(!text.contains("## Ratios"), "{text}");
}

/// The letter of a process, `T` where it is stopped; nothing where it is gone.
fn state(pid: &str) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.split(' ').nth(2)?.chars().next()
}

#[test]
fn no_stopped_worker_outlives_a_run_that_is_killed() {
    let home = home_with_contenders();
    let pids = home.path("pids");
    let waits = format!(
        "#!/bin/sh\ncase \"$*\" in *auto*) read line; exit;; esac\n\
         echo $$ > {}; echo '{{\"ready\": true}}'; read line\n",
        pids.display()
    );
    executable(&home, "xception", &waits);
    let mut run = peers(&home, &["--only", "train-notebook-16", "--quick"]);
    let mut run = run.stderr(Stdio::null()).spawn().unwrap();
    let pid = || fs::read_to_string(&pids).unwrap_or_default().trim().to_owned();
    let wait_for = |expected: &[Option<char>]| {
        let started = Instant::now();
        while !expected.contains(&state(&pid())) {
            assert!(started.elapsed() < Duration::from_secs(30), "{:?}", state(&pid()));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for(&[Some('T')]);
    run.kill().unwrap();
    run.wait().unwrap();
    wait_for(&[None, Some('Z')]);
}

#[test]
fn the_list_runs_nothing() {
    let home = Home::new();
    let output = home.command(&["peers", "--list"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("train-notebook-128: train notebook-cifar10, batch 128\n"), "{text}");
    assert_eq!(home.cached(), Vec::<String>::new());
}
