//! The rules on Rust sources.

use super::Problem;
use super::lexer::{lex, line_of, words};
use super::tokens::without_tests;
use super::tree::SourceFile;

/// Crates and words that their `src/` must not use, with the reason.
const FORBIDDEN_WORDS: &[(&[&str], &[&str], &str)] = &[
    (
        &["sepconv", "xception", "datasets"],
        &["env"],
        "reads the environment: take the value as an argument",
    ),
    (
        &["sepconv", "xception"],
        &["Instant", "SystemTime", "TcpStream", "TcpListener", "UdpSocket"],
        "reads a clock or the network: that belongs in trainer",
    ),
];

/// Crates whose parameter names are an interface.
const NAMING: &[&str] = &["sepconv", "xception"];

/// Checks one file.
pub(super) fn check(file: &SourceFile, problems: &mut Vec<Problem>) {
    let lexed = lex(&file.text);
    let mut problem = |line, message: &str| problems.push(Problem::new(&file.path, line, message));
    let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    if first.trim().strip_prefix("//!").is_none_or(|text| text.trim().is_empty()) {
        problem(1, "does not open with `//!`: say in a sentence why the file exists");
    }
    if !file.path.starts_with("crates/torch-ext") {
        for (at, _) in words(&lexed.code).filter(|(_, word)| *word == "unsafe") {
            problem(line_of(&lexed.code, at), "`unsafe` outside torch-ext: move it there");
        }
    }
    for line in allows_without_reason(&lexed.code) {
        problem(line, "`allow` without `reason = \"...\"`: say why, or remove it");
    }
    let in_src = |name: &&'static str| file.path.starts_with(format!("crates/{name}/src"));
    // Tests may name what they forbid.
    let code = &without_tests(&lexed.code);
    for (crates, forbidden, why) in FORBIDDEN_WORDS {
        if !crates.iter().any(in_src) {
            continue;
        }
        for (at, word) in words(code).filter(|(_, word)| forbidden.contains(word)) {
            // `env!` is of compile time.
            if !code[at + word.len()..].starts_with('!') {
                problem(line_of(code, at), &format!("`{word}` {why}"));
            }
        }
    }
    if NAMING.iter().any(in_src) {
        for (at, text) in &lexed.strings {
            if code[*at..].starts_with('"') && has_suffix_of_tch(text) {
                let message = "a name with `__`: tch makes such names of duplicates, and parameter \
                               names are an interface";
                problem(line_of(code, *at), message);
            }
        }
    }
}

/// Whether `text` looks like a name with tch's suffix `__N`; the key of safetensors does not count.
fn has_suffix_of_tch(text: &str) -> bool {
    let after_a_name = |at: usize| text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '}');
    text != "__metadata__" && text.match_indices("__").any(|(at, _)| after_a_name(at))
}

/// The lines of `#[allow(…)]` and `#[expect(…)]` that give no reason.
fn allows_without_reason(code: &str) -> Vec<usize> {
    let attribute = |(at, word): &(usize, &str)| {
        matches!(*word, "allow" | "expect")
            && code[..*at].ends_with(['[', ' ', '('])
            && code[at + word.len()..].starts_with('(')
            && is_in_attribute(&code[..*at])
    };
    words(code)
        .filter(attribute)
        .filter(|(at, word)| !inside_parentheses(&code[at + word.len()..]).contains("reason"))
        .map(|(at, _)| line_of(code, at))
        .collect()
}

/// Whether the code before a word has just opened `#[` or `#![`, also through `cfg_attr(…, `.
fn is_in_attribute(before: &str) -> bool {
    let Some(open) = before.rfind("#[").max(before.rfind("#![")) else { return false };
    let inside = before[open..].trim_start_matches(['#', '!', '[']).trim();
    inside.is_empty() || (inside.starts_with("cfg_attr(") && !inside.contains(']'))
}

/// The text of the parentheses that `code` starts with.
fn inside_parentheses(code: &str) -> &str {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[..at];
        }
    }
    code
}
