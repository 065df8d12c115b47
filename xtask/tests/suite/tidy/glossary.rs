//! The phrases of the glossary, in each kind of file.

use super::problems_with;

const GLOSSARY: &str = "# Contributing\n\n| not | but | allowed |\n|---|---|---|\n\
    | `hums along`, `hum along` | write \"resumes\" | `hums along top` |\n\
    | `beneath` | write \"after\" | `beneath a trait`, `leaves beneath` |\n\
    | `/// Whence` | name the thing | |\n";

fn found_in(path: &str, text: &str) -> Vec<String> {
    problems_with(&[("CONTRIBUTING.md", GLOSSARY), (path, text)])
}

#[track_caller]
fn refuses(path: &str, text: &str, expected: &[&str]) {
    assert_eq!(found_in(path, text), expected);
}

#[track_caller]
fn accepts(path: &str, text: &str) {
    refuses(path, text, &[]);
}

const RESUMES: &str = "write \"resumes\", as the glossary of CONTRIBUTING.md has it";

#[test]
fn a_phrase_in_a_comment_is_refused_with_the_word_to_use() {
    let text = "//! X.\n\n// A run hums along here.\nfn f() {} /* Hum along. */\n";
    let expected = [
        format!("xtask/src/x.rs:3: \"hums along\": {RESUMES}"),
        format!("xtask/src/x.rs:4: \"hum along\": {RESUMES}"),
    ];
    assert_eq!(found_in("xtask/src/x.rs", text), expected);
}

#[test]
fn a_phrase_in_a_string_is_refused() {
    let text = "//! X.\nconst A: &str = \"it hums \\\n    along\";\n";
    assert_eq!(
        found_in("xtask/src/x.rs", text),
        [format!("xtask/src/x.rs:2: \"hums along\": {RESUMES}")]
    );
}

#[test]
fn a_phrase_across_a_line_break_is_refused() {
    let text = "//! X.\n\n/// A run hums\n/// along here.\nfn f() {}\n";
    assert_eq!(
        found_in("xtask/src/x.rs", text),
        [format!("xtask/src/x.rs:3: \"hums along\": {RESUMES}")]
    );
}

#[test]
fn a_phrase_in_markdown_is_refused_outside_code() {
    let text = "It `hums along`.\n\n```text\nhums along\n```\n\nIt hums along.\n";
    assert_eq!(found_in("docs/x.md", text), [format!("docs/x.md:7: \"hums along\": {RESUMES}")]);
}

#[test]
fn a_phrase_in_a_comment_of_toml_is_refused() {
    let text = "[package] # It hums along.\nname = \"xtask\"\ndescription = \"hums along\"\n";
    assert_eq!(
        found_in("xtask/Cargo.toml", text),
        [format!("xtask/Cargo.toml:1: \"hums along\": {RESUMES}")]
    );
}

#[test]
fn a_phrase_in_a_comment_of_any_language_is_refused() {
    for (path, text) in [
        ("crates/torch-ext/cpp/x.h", "#pragma once\n// It hums along.\n"),
        ("crates/torch-ext/cpp/x.cpp", "int n = 10'000;\nint f();  // It hums along.\n"),
        ("crates/torch-ext/cpp/x.cuh", "const char c = '\"';\n/* It hums along. */\n"),
        ("crates/torch-ext/cpp/x.cu", "#include <x.h>\n// It hums\n// along.\n"),
        ("xtask/gpu/x.sh", "#!/bin/sh\nf  # It hums along.\n"),
        ("deploy/x.sbatch", "#!/bin/sh\n# It hums along.\n"),
        ("deploy/x.yaml", "kind: A\nname: b # It hums along.\n"),
        ("xtask/gpu/x.py", "import a\n# It hums along.\n"),
        ("xtask/gpu/x.py", "a = '#'\nb = 1 # It hums along.\n"),
        ("xtask/gpu/x.py", "a = 'it\\'s'\nb = 1 #It hums along.\n"),
        ("xtask/gpu/x.py", "import a\n\"\"\"It hums\nalong \"here\".\"\"\"\n"),
        ("xtask/gpu/x.py", "import a\nprint(f\"it hums along\")\n"),
    ] {
        let expected = format!("{path}:2: \"hums along\": {RESUMES}");
        assert_eq!(found_in(path, text), [expected], "{text}");
    }
}

#[test]
fn code_of_other_languages_is_not_prose() {
    accepts("xtask/gpu/x.py", "hums(along)\nbeneath = 'a' # See `beneath`.\n");
    accepts("crates/torch-ext/cpp/x.cu", "int beneath = 10'000;  // See `beneath`.\n");
}

#[test]
fn an_allowed_phrase_around_it_is_accepted() {
    accepts("docs/x.md", "A disk beneath a trait hums along top; what it leaves beneath.\n");
}

#[test]
fn an_allowed_phrase_elsewhere_does_not_help() {
    let text = "Beneath a trait, beneath a run.\n";
    refuses(
        "docs/x.md",
        text,
        &["docs/x.md:1: \"beneath\": write \"after\", as the glossary of CONTRIBUTING.md has it"],
    );
}

#[test]
fn words_with_other_words_between_are_accepted() {
    accepts(
        "docs/x.md",
        "It hums, along Monday; hums\n\nalong; hums far along; `x` hums `y` along.\n",
    );
}

#[test]
fn a_doc_comment_does_not_open_with_a_refused_word() {
    let message = "\"whence\": name the thing, as the glossary of CONTRIBUTING.md has it";
    let text = "//! X.\n\n/// Whence it is.\n/// Whence else.\nfn f() {}\n";
    refuses("xtask/src/x.rs", text, &[&format!("xtask/src/x.rs:3: {message}")]);
    refuses("xtask/src/x.rs", "//! Whence it is.\n", &[&format!("xtask/src/x.rs:1: {message}")]);
}

#[test]
fn a_plain_comment_may_open_with_any_word() {
    accepts(
        "xtask/src/x.rs",
        "//! X.\n\n// Whence follows is sorted.\nfn f() { g(\"Whence\"); }\n",
    );
}

#[test]
fn code_is_not_prose() {
    accepts("xtask/src/x.rs", "//! X.\n\nfn beneath() {} // See `beneath`.\n");
}
