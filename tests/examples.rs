//! The examples of every crate run, and come to what they say.

use std::process::Command;

/// Runs an example that this test run has built; what it printed.
#[track_caller]
fn run(package: &str, example: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", package, "--example", example])
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn an_image_is_classified() {
    let said = run("xception", "classify");
    assert_eq!(said.matches(" %  class ").count(), 5, "{said}");
}

#[test]
fn features_come_in_five_levels() {
    let said = run("xception", "features");
    assert_eq!(said.matches("level of ").count(), 5, "{said}");
    assert!(said.contains("features at output stride 8: [1, 2048, 16, 16]"), "{said}");
}

#[test]
fn fine_tuning_by_hand_beats_the_head_alone() {
    let said = run("xception", "fine_tune");
    let right = |start: &str| -> f64 {
        let line = said.lines().find_map(|line| line.strip_prefix(start)).unwrap();
        let (_, percent) = line.rsplit_once(", ").unwrap();
        percent.trim_end_matches(" % right").parse().unwrap()
    };
    assert!(right("everything: ") > right("head alone"), "{said}");
}

#[test]
fn a_separable_layer_works_in_another_network() {
    let said = run("sepconv", "in_another_network");
    assert!(said.contains("accuracy on new images: "), "{said}");
}
