//! Lets its tests and examples find libtorch where it was linked, with no `LD_LIBRARY_PATH`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(argument) = std::env::var("DEP_TORCH_EXT_LINK_ARG") {
        println!("cargo::rustc-link-arg={argument}");
    }
}
