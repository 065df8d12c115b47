//! Compiles the C++ glue against the same libtorch as torch-sys, and passes its place on to dependents.

mod cuda_headers;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    let lib = PathBuf::from(
        env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys passes libtorch's lib folder on"),
    );
    let include = lib.parent().expect("lib has a parent").join("include");
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
        .file("cpp/torch_ext.cpp")
        .file("cpp/cuda_math.cpp")
        .file("cpp/dense.cpp")
        .file("cpp/distributed.cpp")
        .file("cpp/foreach.cpp")
        .file("cpp/gradients.cpp")
        .file("cpp/operator_count.cpp")
        .file("cpp/operators.cpp")
        .file("cpp/matrix_kernel.cpp")
        .file("cpp/memory.cpp")
        .file("cpp/optimizers.cpp")
        .file("cpp/parallel.cpp")
        .file("cpp/torchscript.cpp");
    println!("cargo::rerun-if-env-changed=TORCH_EXT_SANITIZE");
    // Set by `cargo xtask sanitize`, which instruments Rust in the same way.
    if let Ok(sanitizer) = env::var("TORCH_EXT_SANITIZE") {
        glue.flag(format!("-fsanitize={sanitizer}")).flag("-fno-omit-frame-pointer");
    }
    let cuda = env::var_os("CARGO_FEATURE_CUDA").is_some();
    if cuda {
        match cuda_includes(&lib) {
            Ok(folders) => {
                glue.includes(folders).define("USE_C10D_NCCL", None);
                glue.file("cpp/cuda_graph.cpp").file("cpp/cuda_upload.cpp");
                if env::var_os("CARGO_FEATURE_GPU_KERNELS").is_some() {
                    glue.file("cpp/cuda_kernels.cpp");
                }
            }
            Err(problem) => {
                println!("cargo::error={problem}");
                return;
            }
        }
    }
    glue.compile("torch_ext");
    if cuda {
        println!("cargo::rustc-link-lib=torch_cuda");
        println!("cargo::rustc-link-lib=c10_cuda");
    }
    println!("cargo::metadata=libtorch_lib={}", lib.display());
    if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family.contains("unix")) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
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
    let root = |variable: &str| {
        println!("cargo::rerun-if-env-changed={variable}");
        env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    let roots = ["CUDA_HOME", "CUDA_PATH", "NCCL_HOME"].into_iter().filter_map(root);
    // The libtorch of the workspace is a link, and the wheels lie beside its target.
    let lib = lib.canonicalize().unwrap_or_else(|_| lib.to_path_buf());
    cuda_headers::find(&cuda_headers::candidates(roots, &lib))
}
