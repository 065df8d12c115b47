//! Compiles the C++ glue against the same libtorch as torch-sys, and passes its place on to dependents.

mod cuda_headers;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    if env::var_os("CARGO_FEATURE_DOC_ONLY").is_some() {
        return;
    }
    warn_of_slow_kernels();
    let lib = match library_folder().and_then(|lib| compile(&lib).map(|()| lib)) {
        Ok(lib) => lib,
        Err(problem) => {
            println!("cargo::error={problem}");
            return;
        }
    };
    let argument = link_argument(&lib);
    println!("cargo::rustc-link-arg={argument}");
    // For the build scripts of dependents: what is linked into a program is up to its own package.
    println!("cargo::metadata=link_arg={argument}");
}

/// Tells a person whose program will be many times slower than it need be. Cargo shows it for packages by path.
fn warn_of_slow_kernels() {
    if env::var("OPT_LEVEL").is_ok_and(|level| level == "0") {
        println!(
            "cargo::warning=the kernels of torch-ext are compiled without optimisation, and are up to 75 times slower so; add to \
             your Cargo.toml: [profile.dev.package.\"*\"] opt-level = 3"
        );
    }
}

/// The folder of libtorch's libraries, which torch-sys passes on where programs have a search path for them.
fn library_folder() -> Result<PathBuf, String> {
    if let Some(lib) = variable("DEP_TCH_LIBTORCH_LIB") {
        return Ok(lib.into());
    }
    let root = variable("LIBTORCH_LIB").or_else(|| variable("LIBTORCH"));
    let root =
        root.ok_or("set LIBTORCH to the folder of libtorch 2.13, which is not found here")?;
    Ok(PathBuf::from(root).join("lib"))
}

/// Compiles the glue.
fn compile(lib: &Path) -> Result<(), String> {
    let include = include_folder(lib);
    let mut glue = cc::Build::new();
    glue.cpp(true)
        .std("c++20")
        .warnings(false)
        .flag("-D_GLIBCXX_USE_CXX11_ABI=1")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .include("cpp/gloo_declarations")
        .include(empty_headers())
        .define("USE_C10D_GLOO", None)
        .file("cpp/all.cpp");
    println!("cargo::rerun-if-env-changed=TORCH_EXT_SANITIZE");
    // Set by `cargo xtask sanitize`, which instruments Rust in the same way.
    if let Ok(sanitizer) = env::var("TORCH_EXT_SANITIZE") {
        glue.flag(format!("-fsanitize={sanitizer}")).flag("-fno-omit-frame-pointer");
    }
    let cuda = env::var_os("CARGO_FEATURE_CUDA").is_some();
    if cuda {
        glue.includes(cuda_includes(lib)?).define("USE_C10D_NCCL", None);
        glue.file("cpp/cuda_graph.cpp").file("cpp/cuda_upload.cpp");
        if env::var_os("CARGO_FEATURE_GPU_KERNELS").is_some() {
            glue.file("cpp/cuda_kernels.cpp");
        }
    }
    glue.compile("torch_ext");
    if cuda {
        println!("cargo::rustc-link-lib=torch_cuda");
        println!("cargo::rustc-link-lib=c10_cuda");
    }
    Ok(())
}

/// The folder of libtorch's headers, which torch-sys does not pass on: beside the libraries, unless it is set on its own.
fn include_folder(lib: &Path) -> PathBuf {
    let own = variable("LIBTORCH_INCLUDE").filter(|_| variable("LIBTORCH_USE_PYTORCH").is_none());
    let root = own.map(PathBuf::from).unwrap_or_else(|| lib.parent().unwrap_or(lib).to_path_buf());
    root.join("include")
}

/// The argument by which a program finds libtorch without `LD_LIBRARY_PATH`, and keeps its CUDA half.
///
/// `XCEPTION_RPATH` takes the place of libtorch's folder, for programs that are moved to other machines.
fn link_argument(lib: &Path) -> String {
    if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family != "unix") {
        return String::new();
    }
    let is_linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    // The libtorch of a clone is a link. What it leads to stays where it is when the clone is deleted.
    let real = lib.canonicalize().unwrap_or_else(|_| lib.to_path_buf());
    let folders = match variable("XCEPTION_RPATH") {
        Some(folders) => folders,
        None if is_linux && real != lib => format!("{}:{}", lib.display(), real.display()),
        None => real.display().to_string(),
    };
    let mut argument = format!("-Wl,-rpath,{folders}");
    if is_linux && lib.join("libtorch_cuda.so").exists() {
        // Nothing in a program names a symbol of libtorch_cuda, which registers itself when it is loaded, so the linker
        // would leave it out and CUDA would silently be missing.
        argument += ",--no-as-needed,-ltorch_cuda,--as-needed";
    }
    argument
}

/// The value of a variable that is set to something; a change of it runs this script again.
fn variable(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A folder with empty headers in place of those of Gloo that libtorch's include without need.
fn empty_headers() -> PathBuf {
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("empty");
    for header in ["gloo/algorithm.h", "gloo/common/error.h"] {
        let path = folder.join(header);
        let parent = path.parent().expect("it is in a folder");
        fs::create_dir_all(parent).expect("OUT_DIR can be written");
        fs::write(&path, "").expect("OUT_DIR can be written");
    }
    folder
}

/// The folders of CUDA's headers, for a libtorch that has CUDA at all.
fn cuda_includes(lib: &Path) -> Result<Vec<PathBuf>, String> {
    if !lib.join("libtorch_cuda.so").exists() {
        return Err(format!(
            "the feature `cuda` needs a libtorch with CUDA, and there is no libtorch_cuda.so in {}; set LIBTORCH to one, \
             or build without the feature",
            lib.display()
        ));
    }
    let roots = ["CUDA_HOME", "CUDA_PATH", "NCCL_HOME"].into_iter().filter_map(variable);
    // The libtorch of the workspace is a link, and the wheels lie beside its target.
    let lib = lib.canonicalize().unwrap_or_else(|_| lib.to_path_buf());
    cuda_headers::find(&cuda_headers::candidates(roots.map(PathBuf::from), &lib))
}
