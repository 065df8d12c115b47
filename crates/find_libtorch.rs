//! The build script of every package here that links programs: lets them find libtorch where it was
//! linked, with no LD_LIBRARY_PATH, and keeps its CUDA half.

#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

use std::env;
use std::path::PathBuf;

fn main() {
    let unix = env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family.contains("unix"));
    let Some(lib) = env::var_os("DEP_TORCH_EXT_LIBTORCH_LIB").map(PathBuf::from).filter(|_| unix)
    else {
        return;
    };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if lib.join("libtorch_cuda.so").exists() {
        // Nothing in a program names a symbol of libtorch_cuda, which registers itself when it is loaded, so the
        // linker would leave it out and CUDA would silently be missing.
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,--as-needed");
    }
}
