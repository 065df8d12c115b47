//! What the documents tell people to type works as it stands there.

use std::process::Command;

use tempfile::TempDir;

use super::binary;

/// A run is as the document says but for the network, and it ends after an epoch.
const SMALL: &str = " --set epochs=1 --set 'model.scale={ width = 0.05, middle_modules = 0, stem_stride = 2, \
                     entry_strides = [2, 2, 1] }'";

/// Lines after a prompt that begin with the program, without the comments behind them.
fn commands(document: &str) -> Vec<String> {
    let typed = document.lines().filter_map(|line| line.strip_prefix("$ xception "));
    typed.map(|line| format!("xception {}", line.split(" # ").next().unwrap().trim())).collect()
}

#[test]
fn the_guide_to_training_can_be_followed() {
    let folder = TempDir::new().unwrap();
    let path = format!(
        "{}:{}",
        binary().parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let commands = commands(include_str!("../../docs/training.md"));
    assert!(commands.len() >= 8, "{commands:?}");
    for mut command in commands {
        if command.starts_with("xception train") && !command.contains("--resume") {
            command.push_str(SMALL);
        }
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(folder.path())
            .env("PATH", &path)
            .env("XCEPTION_CACHE", folder.path().join("cache"))
            .env_remove("RUST_LOG")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{command}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(folder.path().join("comparison.html").is_file());
}
