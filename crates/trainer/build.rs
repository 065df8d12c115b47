//! Lets the program find libtorch beside itself, as it is unpacked, and else where it was linked, with no `LD_LIBRARY_PATH`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(argument) = std::env::var("DEP_TORCH_EXT_LINK_ARG") {
        let is_linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
        if is_linux && !argument.contains("$ORIGIN/../lib") {
            println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
        }
        println!("cargo::rustc-link-arg={argument}");
    }
}
