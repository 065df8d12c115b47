//! The commands in the documents work as they stand there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use datasets::{Cifar, Split};
use image::RgbImage;
use tempfile::TempDir;
use xception::weights;

use super::{binary, xception};
use crate::golden::state_dict;
use crate::golden_file::Golden;

/// Makes a run short: a small network, large batches, one epoch.
const SMALL: &str = " --set epochs=1 --set batch_size=1000 --set 'model.scale={ width = 0.05, middle_modules = 0, \
                     stem_stride = 2, entry_strides = [2, 2, 1] }'";

/// Makes fine-tuning short, where the weights decide the network.
const BRIEF: &str = " --set epochs=2 --set input.side=64 --set log_every=1";

/// Every document at the root of the project and in `docs/`.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = root.join("docs");
    let folders = [root, docs.join("guide"), docs.join("measurements"), docs];
    let entries = folders.map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.into_iter().flatten().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect()
}

/// Lines after a prompt that start with the program, without their comments.
fn commands(document: &str) -> Vec<String> {
    let typed = document.lines().filter_map(|line| line.strip_prefix("$ xception "));
    typed.map(|line| format!("xception {}", line.split(" # ").next().unwrap().trim())).collect()
}

/// Runs `command` in `folder` as a shell would, with a cache beside it; it must succeed.
#[track_caller]
pub(super) fn shell(command: &str, folder: &Path) -> Output {
    let path = format!(
        "{}:{}",
        binary().parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", &path)
        .env("HOME", folder)
        .env("XCEPTION_CACHE", folder.join("cache"))
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs the commands of `document` one after another in `folder`.
#[track_caller]
fn follow(document: &str, folder: &Path, at_least: usize) {
    let commands = commands(document);
    assert!(commands.len() >= at_least, "{commands:?}");
    for mut command in commands {
        if command.contains("--recipe finetune") {
            command.push_str(BRIEF);
        } else if ["train", "cv", "lr"]
            .iter()
            .any(|name| command.starts_with(&format!("xception {name}")))
            && !command.contains("--resume")
        {
            command.push_str(SMALL);
        } else if command.starts_with("xception bench") {
            command.push_str(" --steps 1");
        }
        shell(&command, folder);
    }
}

/// CIFAR-10's files with noise for images, the label in its brightness.
fn write_cifar10(folder: &Path) {
    let set = Cifar::Cifar10;
    fs::create_dir_all(folder).unwrap();
    let mut noise = 1_u32;
    for file in set.files(Split::Train).iter().chain(set.files(Split::Test)) {
        let mut bytes = Vec::with_capacity(file.records * set.record_bytes());
        for record in 0..file.records {
            let label = (record % 10) as u8;
            bytes.push(label);
            bytes.extend((1..set.record_bytes()).map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                20 * label + (noise >> 27) as u8
            }));
        }
        fs::write(folder.join(file.name), bytes).unwrap();
    }
}

#[test]
fn the_guide_to_training_can_be_followed() {
    let folder = TempDir::new().unwrap();
    follow(include_str!("../../docs/guide/training.md"), folder.path(), 8);
    assert!(folder.path().join("comparison.html").is_file());
}

#[test]
fn the_guide_to_decisions_can_be_followed() {
    let folder = TempDir::new().unwrap();
    follow(include_str!("../../docs/guide/decisions.md"), folder.path(), 8);
    assert!(folder.path().join("looked/report.html").is_file());
}

/// The test first makes what README assumes: CIFAR-10, images, somebody's weights, an earlier run.
#[test]
fn the_readme_can_be_followed() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write_cifar10(&folder.join("cache").join(Cifar::Cifar10.folder()));
    let pets = ["cat", "dog"].map(|class| (1..4).map(move |n| format!("pets/{class}/{n}.png")));
    let pets = pets.into_iter().flatten();
    let images = ["frog.png", "frog.jpg", "new.jpg", "truck.jpg"].map(String::from);
    for (name, blue) in images.into_iter().chain(pets).zip(90..) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, blue])).save(path).unwrap();
    }
    let fetched = folder.join("cache/weights/xception");
    fs::create_dir_all(&fetched).unwrap();
    let published = state_dict(&Golden::open("xception"));
    weights::write(&fetched.join("xception.safetensors"), &published, &BTreeMap::new()).unwrap();
    let theirs = state_dict(&Golden::open("notebook-cifar10"));
    weights::write(&folder.join("theirs.safetensors"), &theirs, &BTreeMap::new()).unwrap();
    let earlier = format!("xception train --data synthetic --out runs/quick-cifar10-2{SMALL}");
    follow(&format!("$ {earlier}"), folder, 1);
    fs::create_dir_all(folder.join(".local/share/bash-completion/completions")).unwrap();
    follow(include_str!("../../README.md"), folder, 16);
    for made in [
        "runs/quick-cifar10/report.html",
        "comparison.html",
        "ours.safetensors",
        "new.explained.png",
        "pets.onnx",
        ".local/share/bash-completion/completions/xception",
        ".local/share/man/man1/xception.1",
    ] {
        assert!(folder.join(made).is_file(), "{made}");
    }
}

#[test]
fn the_page_on_reports_can_be_followed() {
    let folder = TempDir::new().unwrap();
    let runs = ["quick-cifar10", "a", "b"];
    let trainings = runs
        .map(|run| format!("$ xception train --data synthetic --out runs/{run}{SMALL}\n"))
        .concat();
    follow(&trainings, folder.path(), 3);
    follow(include_str!("../../docs/guide/report.md"), folder.path(), 2);
    assert!(folder.path().join("a-and-b.html").is_file());
}

/// Checks every command with options that a sentence quotes, without running it: some take hours.
#[test]
fn commands_that_are_only_quoted_are_understood() {
    let folder = TempDir::new().unwrap();
    let mut quoted = 0;
    for path in documents() {
        let document = fs::read_to_string(&path).unwrap();
        let spans = document.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        for span in spans.filter(|span| span.starts_with("xception ") && span.contains(" -")) {
            // The program reads its arguments in order, and `--help` keeps it from acting on them.
            let mut words: Vec<_> = span
                .split_whitespace()
                .skip(1)
                .map(|word| if word == "N" { "1" } else { word })
                .collect();
            words.push("--help");
            let ended = xception(folder.path(), &words);
            // A sentence may name an option without its value.
            let understood = ended.code == Some(0) || ended.stderr.contains("a value is required");
            assert!(understood, "{}: `{span}`: {}", path.display(), ended.stderr);
            quoted += 1;
        }
    }
    assert!(quoted >= 8, "only {quoted} commands found");
}
