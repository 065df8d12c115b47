//! Lets its tests and examples find libtorch where it was linked, and passes the argument on to dependents, whose build
//! scripts find it in `DEP_XCEPTION_LINK_ARG`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(argument) = std::env::var("DEP_TORCH_EXT_LINK_ARG") {
        println!("cargo::rustc-link-arg={argument}");
        println!("cargo::metadata=link_arg={argument}");
    }
}
