//! Colours and a bar on a terminal, neither in a pipe.

use std::process::{Command, Stdio};

use super::{binary, xception};

/// The variables that decide.
const VARIABLES: [&str; 5] = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM", "RUST_LOG"];

const RED_ERROR: &str = "\x1b[1;31merror: ";

/// The stderr, in a pipe, of a command that cannot find its weights, with these variables set.
fn complaint(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(binary());
    VARIABLES.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.args(["eval", "--weights", "nowhere"]).envs(variables.iter().copied());
    String::from_utf8(command.output().unwrap().stderr).unwrap()
}

/// The output of `xception` with `arguments`, in words, to a terminal of 100 columns; `None` without the program `script`.
fn on_a_terminal(variables: &[(&str, &str)], arguments: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let shell = format!("stty cols 100 rows 30; exec '{}' {arguments}", binary().display());
    let mut command = Command::new("script");
    VARIABLES.iter().for_each(|name| {
        command.env_remove(name);
    });
    command
        .args(["-q", "-e", "-c", &shell, "/dev/null"])
        .current_dir(folder.path())
        .env("SHELL", "/bin/sh")
        .env("XCEPTION_CACHE", folder.path().join("cache"))
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    match command.output() {
        Ok(output) if cfg!(target_os = "linux") => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        _ => {
            eprintln!("skipped: no `script` of util-linux");
            None
        }
    }
}

/// The lines that are left on the screen, for the control sequences that bars are made of.
fn screen(sent: &str) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut rest = sent.chars();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                lines.resize(lines.len().max(row + 1), Vec::new());
            }
            '\x1b' => {
                let mut parameters = String::new();
                let command = loop {
                    match rest.next() {
                        Some(c) if c.is_ascii_alphabetic() => break c,
                        Some(c) => parameters.push(c),
                        None => panic!("ends within a sequence"),
                    }
                };
                match (command, parameters.trim_start_matches('[').parse().unwrap_or(0)) {
                    ('A', rows) => row = row.saturating_sub(rows.max(1)),
                    ('K', 2) => lines[row].clear(),
                    ('K', _) => lines[row].truncate(column),
                    ('m', _) => {}
                    other => panic!("the sequence {other:?} is new here"),
                }
            }
            c => {
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>()).collect()
}

#[test]
fn a_pipe_gets_colours_only_by_force() {
    assert!(complaint(&[]).starts_with("error: "), "{}", complaint(&[]));
    assert!(complaint(&[("CLICOLOR_FORCE", "1")]).starts_with(RED_ERROR));
    let both = complaint(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]);
    assert!(both.starts_with("error: "), "{both}");
}

#[test]
fn a_terminal_gets_colours_unless_they_are_unwanted() {
    let say = |variables: &[_]| on_a_terminal(variables, "eval --weights nowhere");
    let Some(coloured) = say(&[("TERM", "xterm")]) else { return };
    assert!(coloured.contains(RED_ERROR), "{coloured:?}");
    for plain in [
        &[("TERM", "dumb")][..],
        &[("TERM", "xterm"), ("NO_COLOR", "1")],
        &[("TERM", "xterm"), ("CLICOLOR", "0")],
    ] {
        let said = say(plain).unwrap();
        assert!(said.contains("error: ") && !said.contains('\x1b'), "{plain:?}: {said:?}");
    }
}

#[test]
fn a_level_that_is_none_is_pointed_out() {
    let said = complaint(&[("RUST_LOG", "trainer=loud")]);
    assert!(said.starts_with("warning: RUST_LOG=trainer=loud is ignored: "), "{said}");
    assert!(said.contains("levels are error, warn, info, debug, trace"), "{said}");
}

/// The smallest network, one epoch.
const SMALL: &str = "train --out run --set epochs=1 --set log_every=10 --set \
                     'model.scale={ width = 0.05, middle_modules = 0, stem_stride = 2, entry_strides = [2, 1, 1] }'";

#[test]
fn lines_stand_above_the_bar_and_whole() {
    let Some(sent) = on_a_terminal(&[("TERM", "xterm")], SMALL) else { return };
    assert!(sent.contains("epoch 1/1 ━"), "there was no bar to be torn: {sent:?}");
    let screen = screen(&sent);
    let shown = screen.join("\n");
    let epochs: Vec<_> = screen.iter().filter(|line| line.contains("train loss")).collect();
    assert_eq!(epochs.len(), 1, "{shown}");
    assert!(epochs[0].starts_with("epoch  1/1 · train loss "), "{shown}");
    assert!(!shown.contains('━') && !shown.contains("left"), "a bar is left over:\n{shown}");
    assert!(shown.contains("synthetic test accuracy"), "{shown}");
}

#[test]
fn quiet_has_no_bar_and_says_no_more_than_it_must() {
    // Diverges at once: by then a bar has been drawn.
    let diverges = "train --data synthetic --out run --preset plain-shared --set batch_size=8 \
                    --set schedule.peak=1e30 --set schedule.start=1.0";
    let run = |flag| on_a_terminal(&[("TERM", "xterm")], &format!("{diverges} {flag}"));
    let Some(said) = run("-v") else { return };
    assert!(said.contains("epoch 1/") && said.contains("run folder run"), "{said:?}");
    let quiet = run("-q").unwrap();
    assert!(quiet.contains("the loss became"), "{quiet:?}");
    assert!(!quiet.contains("epoch 1/") && !quiet.contains("run folder run"), "{quiet:?}");

    let folder = tempfile::tempdir().unwrap();
    let ended = xception(folder.path(), &["man", "-v", "-q"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("cannot be used with"), "{}", ended.stderr);
}
