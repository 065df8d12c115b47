//! The kernels for a GPU, compiled by the C++ compiler of this build and run on a CPU: their indices, grids and sums are
//! correct without a GPU. What threads of a GPU do beyond that, `on_gpu.rs` tries on one.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;

#[test]
fn kernels_are_plain_loops() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = crate_folder.join("tests/kernels_on_cpu");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels_on_cpu");
    // With a wrapper it is several words, such as `ccache c++`, as for the build script.
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_string());
    let mut words = compiler.split_whitespace();
    let compiled = Command::new(words.next().unwrap_or("c++"))
        .args(words)
        .args(["-std=c++20", "-O1", "-pthread", "-I"])
        .arg(&sources)
        .arg(sources.join("check.cpp"))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("the C++ compiler that built torch-ext");
    let messages = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{messages}");
    let output = Command::new(&program).output().expect("the program that was compiled");
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{found}");
}
