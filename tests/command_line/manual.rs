//! Files that a distribution packs beside the binary: completions and manual pages.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::xception;

const COMMANDS: [&str; 17] = [
    "train",
    "recipes",
    "check",
    "eval",
    "predict",
    "explain",
    "import",
    "export",
    "summary",
    "bench",
    "cv",
    "lr",
    "ablate",
    "compare",
    "report",
    "completions",
    "man",
];

#[test]
fn every_shell_has_completions() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, mark) in [
        ("bash", "complete -F _xception"),
        ("zsh", "#compdef xception"),
        ("fish", "complete -c xception"),
        ("elvish", "edit:completion:arg-completer[xception]"),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName 'xception'"),
    ] {
        let ended = xception(folder.path(), &["completions", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(ended.stdout.contains(mark), "{shell}: {}", ended.stdout);
        for command in COMMANDS {
            assert!(ended.stdout.contains(command), "{shell} does not know {command}");
        }
    }
    let ended = xception(folder.path(), &["completions", "tcsh"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("possible values: bash, elvish, fish"), "{}", ended.stderr);
}

#[test]
fn bash_completes_a_flag() {
    let folder = tempfile::tempdir().unwrap();
    let script = xception(folder.path(), &["completions", "bash"]).stdout;
    let asks = "\nCOMP_WORDS=(xception summary --pre) COMP_CWORD=2; _xception xception --pre summary\n\
                echo \"${COMPREPLY[@]}\"\n";
    let Ok(mut bash) = Command::new("bash").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    else {
        eprintln!("skipped: there is no bash");
        return;
    };
    bash.stdin.take().unwrap().write_all((script + asks).as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "--preset");
}

#[test]
fn every_command_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let ended = xception(folder.path(), &["man"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains(".TH xception 1"), "{}", ended.stdout);
    for command in COMMANDS {
        assert!(ended.stdout.contains(&format!("xception\\-{command}(1)")), "{}", ended.stdout);
    }

    let ended = xception(folder.path(), &["man", "--out", "share/man1"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    assert_eq!(ended.stderr, "manual pages in share/man1\n");
    let pages = folder.path().join("share/man1");
    let mut names: Vec<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected: Vec<String> =
        COMMANDS.iter().map(|command| format!("xception-{command}.1")).collect();
    expected.push("xception.1".into());
    expected.sort();
    assert_eq!(names, expected);
    let train = fs::read_to_string(pages.join("xception-train.1")).unwrap();
    for said in
        [".TH xception-train 1", "\\-\\-recipe", "\\-\\-quiet", "Train a network by a recipe"]
    {
        assert!(train.contains(said), "no {said} in {train}");
    }

    fs::write(folder.path().join("file"), "").unwrap();
    let ended = xception(folder.path(), &["man", "--out", "file/man1"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("cannot create file/man1: "), "{}", ended.stderr);
}
