//! Compiles the C++ glue against the same libtorch as torch-sys, and tells dependents where it is.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    let lib = PathBuf::from(
        env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch's lib folder is"),
    );
    let include = lib.parent().expect("lib has a parent").join("include");
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .warnings(false)
        .flag("-D_GLIBCXX_USE_CXX11_ABI=1")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("cpp/torch_ext.cpp")
        .file("cpp/operators.cpp")
        .compile("torch_ext");
    println!("cargo::metadata=libtorch_lib={}", lib.display());
    if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family.contains("unix")) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
}
