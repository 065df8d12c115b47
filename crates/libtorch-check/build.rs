//! Looks for libtorch where tch will, and says how to get it.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let set = |variable: &str| {
        println!("cargo::rerun-if-env-changed={variable}");
        env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    let needs_none = env::var_os("CARGO_FEATURE_DOC_ONLY").is_some();
    // PyTorch says by itself where it is, and where nothing is set tch has its own ways.
    if needs_none || set("LIBTORCH_USE_PYTORCH").is_some() {
        return;
    }
    let libtorch = set("LIBTORCH");
    let places = [
        ("LIBTORCH_INCLUDE", set("LIBTORCH_INCLUDE"), "include/torch"),
        ("LIBTORCH_LIB", set("LIBTORCH_LIB"), "lib"),
    ];
    for (variable, own, part) in places {
        let (variable, folder) = match (own, &libtorch) {
            (Some(own), _) => (variable, own),
            (None, Some(libtorch)) => ("LIBTORCH", libtorch.clone()),
            (None, None) => continue,
        };
        if let Some(missing) = missing(&folder, part) {
            println!(
                "cargo::error=there is no libtorch: {variable} is {}, which has no {missing}. In a clone of this project run \
                 `cargo xtask fetch libtorch`; elsewhere set LIBTORCH to the folder of libtorch 2.13, or \
                 LIBTORCH_USE_PYTORCH=1 to use that of the installed PyTorch",
                folder.display()
            );
            return;
        }
    }
}

/// The part of `folder` that is missing. A relative path means something else to each build script, so nothing is said of it.
fn missing<'a>(folder: &Path, part: &'a str) -> Option<&'a str> {
    (folder.is_absolute() && !folder.join(part).is_dir()).then_some(part)
}
