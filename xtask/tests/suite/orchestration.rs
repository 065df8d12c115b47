//! `test`, `sanitize`, `train`, `doctor` and `golden` with a stand-in for cargo that tells how it was called.
#![cfg(unix)]

use std::fs;
use std::process::Command;

use super::archives::mirror;
use super::command_line::{Home, outcome};

/// A home whose `cargo` appends its arguments to a file, and fails at what `FAIL` names.
fn home_with_cargo() -> Home {
    let home = Home::new();
    let log = home.path("log");
    let script = format!(
        "#!/bin/sh\necho \"$* | $RUSTDOCFLAGS$CARGO_PKG_NAME$LIBTORCH$CARGO_NET_OFFLINE\" >> {}\n\
         case \"$1\" in \"$FAIL\") exit 42;; esac\n",
        log.display()
    );
    executable(&home, "cargo", &script);
    fs::write(home.path("workspace/ARCHITECTURE.md"), "# Map\n").unwrap();
    home
}

/// Written by a child: a file that this process had open could be busy when it is to run.
pub(crate) fn executable(home: &Home, name: &str, script: &str) {
    let mut command = Command::new("sh");
    command.args(["-c", "printf %s \"$1\" > \"$0\" && chmod +x \"$0\""]);
    assert!(command.arg(home.path(name)).arg(script).status().unwrap().success());
}

fn add_libtorch(home: &Home) {
    fs::create_dir_all(home.path("workspace/libtorch/lib")).unwrap();
    fs::write(home.path("workspace/libtorch/lib/libtorch_cpu.so"), "").unwrap();
}

fn command(home: &Home, arguments: &[&str]) -> Command {
    let mut command = home.command(arguments);
    command.env("CARGO", home.path("cargo")).env("HTTPS_PROXY", "http://127.0.0.1:1");
    command.env("CARGO_PKG_NAME", "xtask").env("LIBTORCH", home.path("workspace/libtorch"));
    command
}

fn calls(home: &Home) -> Vec<String> {
    let log = fs::read_to_string(home.path("log")).unwrap_or_default();
    log.lines().map(|line| line.trim_end_matches("| ").trim_end().to_owned()).collect()
}

#[test]
fn test_runs_its_steps_in_order() {
    let home = home_with_cargo();
    add_libtorch(&home);
    outcome(&mut command(&home, &["test"])).expect(0, &["== tidy: passed in", "all passed in"]);
    assert_eq!(
        calls(&home),
        [
            "fmt --all --check",
            "clippy --workspace --all-targets --locked -- -D warnings",
            "doc --workspace --no-deps --locked | -D warnings",
            "deny --version",
            "deny check bans licenses sources",
            "test --workspace --locked",
        ]
    );
}

#[test]
fn test_stops_at_the_first_failure_and_names_the_command() {
    let home = home_with_cargo();
    add_libtorch(&home);
    outcome(command(&home, &["test"]).env("FAIL", "doc")).expect(
        1,
        &["`RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked` failed (exit status: 42)"],
    );
    assert_eq!(calls(&home).len(), 3);
    fs::remove_file(home.path("workspace/ARCHITECTURE.md")).unwrap();
    outcome(&mut command(&home, &["test"])).expect(1, &["ARCHITECTURE.md: missing", "one problem"]);
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn sanitize_instruments_both_languages_and_passes_test_names_on() {
    let home = home_with_cargo();
    add_libtorch(&home);
    let log = home.path("log");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> {0}\necho \"$RUSTC_BOOTSTRAP $RUSTFLAGS $TORCH_EXT_SANITIZE\" >> {0}\n\
         echo \"$ASAN_OPTIONS\" >> {0}\n",
        log.display()
    );
    executable(&home, "cargo", &script);
    let arguments = ["sanitize", "--offline", "packed_conv", "soundness"];
    outcome(command(&home, &arguments).env("ASAN_OPTIONS", "verbosity=1"))
        .expect(0, &["AddressSanitizer found nothing"]);
    let calls = calls(&home);
    assert_eq!(
        calls[..2],
        [
            "test --package xception-torch-ext --lib --tests --locked --target x86_64-unknown-linux-gnu \
             --target-dir target/sanitize -- packed_conv soundness",
            "1 -Zsanitizer=address address",
        ]
    );
    assert!(
        calls[2].contains("detect_leaks=0:") && calls[2].ends_with(":verbosity=1"),
        "{calls:?}"
    );
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn sanitize_fails_where_a_test_does() {
    let home = home_with_cargo();
    add_libtorch(&home);
    outcome(command(&home, &["sanitize"]).env("FAIL", "test"))
        .expect(1, &["failed under AddressSanitizer (exit status: 42)"]);
}

#[test]
fn test_without_cargo_deny_says_so_and_continues() {
    let home = home_with_cargo();
    add_libtorch(&home);
    outcome(command(&home, &["test"]).env("FAIL", "deny"))
        .expect(0, &["skipped, cargo-deny is not installed (cargo install cargo-deny)"]);
    assert!(calls(&home).last().unwrap().starts_with("test "));
}

#[test]
fn test_as_on_a_lesser_cpu_holds_every_library_to_it() {
    let home = home_with_cargo();
    add_libtorch(&home);
    let script = format!(
        "#!/bin/sh\necho $1 $ATEN_CPU_CAPABILITY $ONEDNN_MAX_CPU_ISA $MKL_ENABLE_INSTRUCTIONS >> {}\n",
        home.path("log").display()
    );
    executable(&home, "cargo", &script);
    outcome(&mut command(&home, &["test", "--instructions", "avx2"])).expect(0, &["all passed"]);
    assert_eq!(calls(&home).last().unwrap(), "test avx2 AVX2 AVX2");
    outcome(&mut command(&home, &["test", "--instructions", "sse"]))
        .expect(2, &["possible values"]);
}

#[test]
fn test_needs_a_libtorch() {
    let home = home_with_cargo();
    outcome(&mut command(&home, &["test", "--offline"])).expect(3, &["--offline forbids"]);
    assert_eq!(calls(&home), Vec::<String>::new());
}

#[test]
fn train_passes_everything_on_and_returns_the_trainers_exit_code() {
    let home = home_with_cargo();
    add_libtorch(&home);
    let prefix = "run --release --locked --package xception-cli --bin xception -- train";
    for (arguments, expected) in [
        (&["--data", "synthetic", "-v"][..], "--recipe quick --data synthetic -v"),
        (&["--recipe=full", "--data", "synthetic"], "--recipe=full --data synthetic"),
        (&["--resume", "runs/a"], "--resume runs/a"),
        (&["--offline", "--data", "auto"], "--recipe quick --data auto | true"),
        (&["--help"], "--help"),
    ] {
        fs::remove_file(home.path("log")).ok();
        let arguments = [&["train"], arguments].concat();
        let result = outcome(command(&home, &arguments).env("FAIL", "run"));
        result.expect(42, &[]);
        assert!(!result.stderr.contains("CIFAR-10"), "{}", result.stderr);
        assert_eq!(calls(&home), [format!("{prefix} {expected}")]);
    }
}

#[test]
fn train_tries_once_for_cifar10_and_continues_without() {
    let home = home_with_cargo();
    add_libtorch(&home);
    let reason =
        "CIFAR-10 could not be fetched: https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz: ";
    outcome(&mut command(&home, &["train"])).expect(0, &[reason]);
    outcome(&mut command(&home, &["train", "--data=cifar10"])).expect(0, &[reason]);
    mirror(&home.path("mirror"));
    home.run(&["fetch", "cifar10", "--from", "mirror"]).expect(0, &[]);
    let result = outcome(&mut command(&home, &["train"]));
    result.expect(0, &[]);
    assert!(!result.stderr.contains("CIFAR-10"), "{}", result.stderr);
    assert_eq!(calls(&home).len(), 3);
}

#[test]
fn help_for_train_without_libtorch_says_how() {
    let home = home_with_cargo();
    let result = outcome(&mut command(&home, &["train", "--help"]));
    result.expect(2, &["run `cargo xtask fetch libtorch`, then this again"]);
    assert_eq!(calls(&home), Vec::<String>::new());
}

#[test]
fn doctor_gives_the_command_for_each_problem() {
    let home = home_with_cargo();
    let report = |home: &Home, code: i32| {
        let output = command(home, &["doctor"]).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = report(&home, 1);
    assert!(text.contains("BROKEN libtorch      none in "), "{text}");
    assert!(text.contains("-> cargo xtask fetch libtorch\n"), "{text}");
    assert!(text.contains("-> cargo xtask fetch cifar10 [--from PATH_OR_URL]\n"), "{text}");

    add_libtorch(&home);
    let lock = "[[package]]\nname = \"tch\"\nversion = \"0.26.0\"\n";
    fs::write(home.path("workspace/Cargo.lock"), lock).unwrap();
    fs::write(home.path("workspace/libtorch/build-version"), "2.11.0+cpu\n").unwrap();
    let text = report(&home, 1);
    assert!(text.contains("BROKEN libtorch      2.11.0+cpu in "), "{text}");
    assert!(text.contains("; tch 0.26.0 wants 2.13.0\n"), "{text}");
    fs::write(home.path("workspace/libtorch/build-version"), "2.13.0+cpu\n").unwrap();
    let text = report(&home, 0);
    assert!(text.contains("ok     libtorch      2.13.0+cpu in "), "{text}");
}

#[test]
fn golden_names_the_missing_package() {
    let home = home_with_cargo();
    executable(&home, "py", "#!/bin/sh\ncase \"$2\" in *timm*) exit 1;; esac\n");
    let python = home.path("py");
    let golden = ["golden", "--seeds", "mirror", "--python", python.to_str().unwrap()];
    outcome(&mut command(&home, &golden))
        .expect(1, &["has no timm: run `", "py -m pip install torch timm keras`"]);
    executable(&home, "py", &format!("#!/bin/sh\necho \"$*\" > {}\n", home.path("log").display()));
    outcome(&mut command(&home, &golden)).expect(0, &[]);
    let mirror = home.path("mirror");
    let expected =
        format!("tests/golden/make_golden.py --seeds {} --out tests/golden", mirror.display());
    assert_eq!(calls(&home), [expected]);
    outcome(&mut command(&home, &["golden", "--seeds", "mirror", "--python", "/no/py"]))
        .expect(1, &["cannot run /no/py: name one with --python"]);
}
