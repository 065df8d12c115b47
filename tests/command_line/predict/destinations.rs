//! The results as other programs read them: tables, documents, files, and pipes that are closed early.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{MANY, PREDICT, documents, folder, folder_with, inputs, predict};
use crate::command_line::{binary, json, xception};

/// The rows of a table, its header first.
fn rows(table: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(table.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(String::from).collect()).collect()
}

#[test]
fn every_format_says_the_same() {
    let typed = ["--top", "3", "many"];
    let document = json(&predict(&[&["--json"], &typed[..]].concat()));
    let named = predict(&[&["--format", "json"], &typed[..]].concat());
    assert_eq!(json(&named), document);
    let lines = predict(&[&["--format", "jsonl"], &typed[..]].concat());
    assert_eq!((lines.code, lines.stdout.lines().count()), (Some(0), MANY));
    assert_eq!(documents(&lines.stdout), document);
    let table = predict(&[&["--format", "csv"], &typed[..]].concat());
    let rows = rows(&table.stdout);
    let header = "input label_1 probability_1 label_2 probability_2 label_3 probability_3";
    assert_eq!(rows[0].join(" "), header);
    assert_eq!(rows.len(), 1 + MANY);
    for (row, answer) in rows[1..].iter().zip(document.as_array().unwrap()) {
        assert_eq!(row[0], answer["input"].as_str().unwrap());
        for (cells, entry) in row[1..].chunks(2).zip(answer["top"].as_array().unwrap()) {
            assert_eq!(cells[0], entry["label"].as_str().unwrap());
            assert_eq!(cells[1].parse::<f64>().unwrap(), entry["probability"].as_f64().unwrap());
        }
    }
    let both = predict(&["--json", "--format", "csv", "a.png"]);
    assert_eq!(both.code, Some(2), "{}", both.stderr);
}

#[cfg(unix)]
#[test]
fn a_name_may_have_commas_quotes_and_line_breaks() {
    let names =
        ["odd/a, b.png", "odd/\"quoted\".png", "odd/two\nlines.png", "odd/turn\u{202e}ed.png"];
    let own = folder_with(&names);
    let run = |format| {
        let typed = ["--format", format, "odd"];
        let ended = xception(own.path(), &[&PREDICT[..], &typed].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    };
    let mut expected = names;
    expected.sort_unstable();
    let rows = rows(&run("csv"));
    assert_eq!(rows[1..].iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), expected);
    let lines = run("jsonl");
    assert!(!lines.contains('\u{202e}'), "a terminal would turn: {lines}");
    assert_eq!(inputs(&documents(&lines)), expected);
    let document: Value = serde_json::from_str(&run("json")).unwrap();
    assert_eq!(inputs(&document), expected);
    assert!(run("text").contains("odd/two\\nlines.png\n"));
}

#[test]
fn a_file_has_what_would_be_printed() {
    let own = folder_with(&["a.png", "b.png"]);
    let run = |arguments: &[&str]| {
        let ended = xception(own.path(), &[&PREDICT[..], arguments].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    };
    for (out, format) in [("o.csv", "csv"), ("o.json", "json"), ("o.jsonl", "jsonl"), ("o", "text")]
    {
        let printed = run(&["--format", format, "a.png", "b.png"]);
        assert_eq!(run(&["-o", out, "a.png", "b.png"]), "");
        assert_eq!(fs::read_to_string(own.path().join(out)).unwrap(), printed, "{out}");
    }
    run(&["-o", "o.csv", "--format", "jsonl", "a.png"]);
    let text = fs::read_to_string(own.path().join("o.csv")).unwrap();
    assert_eq!(inputs(&documents(&text)), ["a.png"], "what was typed counts, not the ending");
    if cfg!(unix) {
        assert_eq!(run(&["-o", "/dev/stdout", "a.png"]), run(&["a.png"]));
    }
}

#[test]
fn a_file_is_whole_or_absent() {
    let own = folder_with(&["a.png", "x/1.png"]);
    let path = own.path();
    fs::write(path.join("bad.png"), "no image").unwrap();
    fs::write(path.join("old.csv"), "old").unwrap();
    let run = |arguments: &[&str]| xception(path, &[&PREDICT[..], arguments].concat());
    let before = fs::read_dir(path).unwrap().count();
    // The only input: there is nothing to say.
    assert_eq!(run(&["-o", "new.csv", "bad.png"]).code, Some(3));
    assert_eq!(run(&["--format", "csv", "bad.png"]).stdout, "");
    assert_eq!(run(&["-o", "old.csv", "bad.png"]).code, Some(3));
    for (out, expected) in [("x", "cannot write x"), ("none/o.csv", "cannot write none/o.csv")] {
        let ended = run(&["-o", out, "a.png"]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
    for typed in [&["x"][..], &["x/1.png"], &["x/*.png"]] {
        let ended = run(&[&["-o", "x/1.png"], typed].concat());
        assert_eq!(ended.code, Some(2), "{typed:?}");
        assert!(ended.stderr.contains("x/1.png is read by the same command"), "{}", ended.stderr);
    }
    let ended = run(&["-o", "same", "--logits", "same", "a.png"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--out and --logits both name same"), "{}", ended.stderr);
    assert_eq!(fs::read_dir(path).unwrap().count(), before);
    assert_eq!(fs::read_to_string(path.join("old.csv")).unwrap(), "old");
    // One bad file of several: the others' answers are kept, and the exit code tells.
    assert_eq!(run(&["-o", "old.csv", "bad.png", "a.png"]).code, Some(3));
    assert_eq!(fs::read_to_string(path.join("old.csv")).unwrap().lines().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_program_that_is_killed_leaves_no_file() {
    let own = folder_with(&["a.png"]);
    let mut child = Command::new(binary())
        .args([&PREDICT[..], &["--format", "csv", "-o", "o.csv", "--logits", "l", "-"]].concat())
        .current_dir(own.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than a pipe holds: when all are written, most were read.
    for _ in 0..13_000 {
        writeln!(stdin, "a.png").unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left = fs::read_dir(own.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, ["a.png", "w.safetensors"]);
}

/// As `xception predict many | head -1` does.
#[test]
fn a_reader_that_is_gone_ends_it_quietly() {
    for format in ["text", "json", "jsonl", "csv"] {
        let mut child = Command::new(binary())
            .args([&PREDICT[..], &["--format", format, "many", "bad.jpg", "many"]].concat())
            .current_dir(folder())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{format}");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{format}");
    }
}
