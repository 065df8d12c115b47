//! Lets the binaries of this package find libtorch where it was linked, with no LD_LIBRARY_PATH.

fn main() {
    if let Some(lib) = std::env::var_os("DEP_TORCH_EXT_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
}
