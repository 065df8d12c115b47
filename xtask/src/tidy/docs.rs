//! Commands and links in Markdown must exist.

use std::path::Path;

use clap::Parser;
use clap::error::ErrorKind;

use super::Problem;
use super::markdown::code_spans;
use super::tree::SourceFile;
use crate::cli::Cli;

/// The commands of the trainer's binary, `xception`.
const XCEPTION: &[&str] = &[
    "train",
    "eval",
    "predict",
    "explain",
    "import",
    "export",
    "summary",
    "bench",
    "check",
    "ablate",
    "compare",
    "cv",
    "lr",
    "recipes",
    "report",
    "completions",
    "man",
];

/// Languages of fenced blocks whose lines are commands.
const SHELLS: &[&str] = &["sh", "bash", "console", "shell"];

/// Checks one Markdown file.
pub(super) fn check(root: &Path, file: &SourceFile, problems: &mut Vec<Problem>) {
    let mut fence: Option<&str> = None;
    for (index, line) in file.text.lines().enumerate() {
        let mut problem =
            |message: String| problems.push(Problem::new(&file.path, index + 1, message));
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = match fence {
                None => Some(language.trim()),
                Some(_) => None,
            };
            continue;
        }
        match fence {
            // What a command printed.
            Some("console") if !line.starts_with("$ ") => {}
            Some(language) if SHELLS.contains(&language) => check_command(line, &mut problem),
            Some(_) => {}
            None => {
                for span in code_spans(line) {
                    check_command(span, &mut problem);
                }
                for target in links(line) {
                    check_link(root, &file.path, target, &mut problem);
                }
            }
        }
    }
}

fn check_command(command: &str, problem: &mut impl FnMut(String)) {
    let command = command.split(" #").next().unwrap_or(command);
    let words: Vec<_> = command.split_whitespace().collect();
    for (place, pair) in words.windows(2).enumerate() {
        if pair == ["cargo", "xtask"] {
            check_xtask(&words[place + 1..], problem);
        }
    }
    // Only as the command itself: elsewhere `xception` is the crate.
    let is_prefix = |word: &str| word == "$" || word == "time" || word.contains('=');
    let mut words = words.into_iter().skip_while(|word| is_prefix(word));
    let program = words.next().unwrap_or("");
    let name = words.next().unwrap_or("");
    if program.rsplit('/').next() == Some("xception") && is_name(name) && !XCEPTION.contains(&name)
    {
        let known = XCEPTION.join(", ");
        problem(format!("there is no `xception {name}`: its commands are {known}"));
    }
}

/// Checks `xtask NAME …` as the program itself would read it, but for arguments that a sentence leaves out.
fn check_xtask(words: &[&str], problem: &mut impl FnMut(String)) {
    let ends = |word: &&str| ["&&", "|", ">", ";", "…"].contains(word);
    let words: Vec<_> = words.iter().copied().take_while(|word| !ends(word)).collect();
    let Some(name) = words.get(1).filter(|name| is_name(name)) else { return };
    match Cli::try_parse_from(&words) {
        Ok(_) => {}
        Err(error) if !error.use_stderr() => {}
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {}
        Err(error) if error.kind() == ErrorKind::InvalidSubcommand => {
            problem(format!("there is no `cargo xtask {name}`: see `cargo xtask --help`"));
        }
        Err(error) => {
            let message = error.to_string();
            let reason = message.lines().next().unwrap_or_default();
            problem(format!("`cargo {}`: {reason}", words.join(" ")));
        }
    }
}

/// Whether `word` can be the name of a command: not an option, a placeholder or an ellipsis.
fn is_name(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && word.starts_with(|c: char| c.is_ascii_lowercase())
}

/// The targets of `[text](target)` outside code spans.
fn links(line: &str) -> Vec<&str> {
    let prose = line.split('`').step_by(2);
    prose
        .flat_map(|text| text.split("](").skip(1))
        .filter_map(|rest| rest.split([')', ' ']).next())
        .filter(|target| !target.is_empty())
        .collect()
}

fn check_link(root: &Path, file: &Path, target: &str, problem: &mut impl FnMut(String)) {
    let elsewhere = target.contains("://") || target.starts_with("mailto:");
    let path = target.split('#').next().unwrap_or("");
    if elsewhere || path.is_empty() {
        return;
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    if !root.join(folder).join(path).exists() {
        problem(format!("the link leads to {path}, which does not exist: mend or remove it"));
    }
}
