//! `check-tensorboard` with a shell script for Python: the environment, the exit codes, the first differences.
#![cfg(unix)]

use std::fs;
use std::process::Command;

use super::command_line::{Home, outcome};
use super::orchestration::executable;

/// A home with a run of one number, where `python` makes an environment whose Python prints the file `read`.
fn home_with_a_run() -> Home {
    let home = Home::new();
    let log = home.path("log").display().to_string();
    let read = home.path("read").display().to_string();
    executable(
        &home,
        "reader",
        &format!(
            "#!/bin/sh\necho \"python $*\" >> {log}\ncase \"$*\" in *' pip '*) exit 0;; esac\nexec cat {read}\n"
        ),
    );
    let venv = format!(
        "#!/bin/sh\nmkdir -p \"$3/bin\" && cp {} \"$3/bin/python\"\n",
        home.path("reader").display()
    );
    executable(&home, "python", &venv);
    fs::create_dir_all(home.path("workspace/xtask/tensorboard")).unwrap();
    fs::write(home.path("workspace/xtask/tensorboard/requirements.txt"), "tensorboard==2\n")
        .unwrap();
    fs::create_dir_all(home.path("run/tb")).unwrap();
    let line = "{\"epoch\":1,\"lr\":0.5,\"step\":3,\"time\":7.25}\n";
    fs::write(home.path("run/metrics.jsonl"), line).unwrap();
    home
}

/// The output of a reader that finds `value` at each of `steps`.
fn finds(home: &Home, value: f64, steps: std::ops::RangeInclusive<u64>) {
    let scalars: Vec<_> = steps
        .map(|step| serde_json::json!({ "tag": "lr", "step": step, "time": 7.25, "value": value }))
        .collect();
    let document = serde_json::json!({
        "version": "2", "files": [{ "name": "f", "records": 2, "problem": null }], "scalars": scalars,
        "images": [], "histograms": [],
    });
    fs::write(home.path("read"), document.to_string()).unwrap();
}

fn check(home: &Home) -> Command {
    let (run, python) = (home.path("run"), home.path("python"));
    home.command(&[
        "check-tensorboard",
        run.to_str().unwrap(),
        "--python",
        python.to_str().unwrap(),
    ])
}

#[test]
fn it_passes_where_both_say_the_same_and_fails_where_not() {
    let home = home_with_a_run();
    finds(&home, 0.5, 3..=3);
    let output = check(&home).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("scalars: 1 values of metrics.jsonl at 1 steps, of lr\n"), "{said}");
    let calls = fs::read_to_string(home.path("log")).unwrap();
    let reader = home.path("workspace/xtask/tensorboard/read_events.py");
    let call = format!("python {} {}", reader.display(), home.path("run/tb").display());
    assert_eq!(calls.lines().last(), Some(call.as_str()));

    finds(&home, 0.25, 3..=3);
    let one = "lr at step 3 is 0.25 in tb/ and 0.5 in metrics.jsonl";
    outcome(&mut check(&home)).expect(1, &[one, "error: 1 difference between events and run"]);
    finds(&home, 0.5, 3..=15);
    let many = "error: 12 differences, of which the first 10 are above";
    outcome(&mut check(&home)).expect(1, &["lr at step 4 is in tb/ only", many]);
    let calls = fs::read_to_string(home.path("log")).unwrap();
    assert_eq!(calls.matches(" pip ").count(), 1, "the environment was made again: {calls}");
}

#[test]
fn what_it_refuses() {
    let home = home_with_a_run();
    fs::write(home.path("read"), "Traceback").unwrap();
    outcome(&mut check(&home)).expect(1, &["TensorBoard's reader did not print JSON"]);
    fs::remove_file(home.path("read")).unwrap();
    outcome(&mut check(&home)).expect(1, &["TensorBoard's reader failed (exit status: 1)"]);
    fs::write(home.path("run/metrics.jsonl"), "{").unwrap();
    outcome(&mut check(&home)).expect(1, &["metrics.jsonl, line 1: EOF"]);
    fs::remove_dir(home.path("run/tb")).unwrap();
    outcome(&mut check(&home))
        .expect(2, &["there is no ", "run/tb: name the folder of a run of `xception train`"]);
}
