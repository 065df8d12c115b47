//! The search for CUDA's own headers, which libtorch's include and do not contain. Used by the build script.

use std::path::{Path, PathBuf};

/// The headers of CUDA that libtorch's include: its runtime's, those of its compiler and of its C++ library that the
/// runtime's include, those of its libraries, and NCCL's. Each is in a wheel of its own.
const NEEDED: [&str; 7] = [
    "cuda_runtime_api.h",
    "crt/host_config.h",
    "nv/target",
    "cublas_v2.h",
    "cusparse.h",
    "cusolverDn.h",
    "nccl.h",
];

/// The folders of NVIDIA's wheels: since CUDA 13 one for all but NCCL, before that one each.
const WHEELS: [&str; 8] =
    ["cu13", "cuda_runtime", "cuda_nvcc", "cuda_cccl", "cublas", "cusparse", "cusolver", "nccl"];

/// The folders to search, in order: those that the environment names (`CUDA_HOME`, `CUDA_PATH`, `NCCL_HOME`), those that
/// NVIDIA's wheels share with the wheel whose `torch/lib` is `lib`, and the usual ones. The wheels come before the system:
/// libtorch holds a struct of `nccl.h`, whose size is another one in another version.
pub(crate) fn candidates(roots: impl IntoIterator<Item = PathBuf>, lib: &Path) -> Vec<PathBuf> {
    let wheels = lib.parent().and_then(Path::parent).map(|packages| packages.join("nvidia"));
    let of_wheels = wheels.into_iter().flat_map(|nvidia| WHEELS.map(|wheel| nvidia.join(wheel)));
    let usual = ["/usr/local/cuda", "/usr"].map(PathBuf::from);
    let roots = roots.into_iter().chain(of_wheels).chain(usual);
    // Since CUDA 13 the C++ library has a folder of its own, which the CUDA compiler searches by itself.
    roots.flat_map(|root| ["include", "include/cccl"].map(|folder| root.join(folder))).collect()
}

/// The `candidates` for the compiler's search path, or an error text.
pub(crate) fn find(candidates: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found: Vec<PathBuf> = Vec::new();
    for header in NEEDED {
        let Some(folder) = candidates.iter().find(|folder| folder.join(header).exists()) else {
            let looked: Vec<String> =
                candidates.iter().map(|folder| folder.display().to_string()).collect();
            return Err(format!(
                "the feature `cuda` needs CUDA's header {header}, which is not in {}; set CUDA_HOME (for nccl.h NCCL_HOME) \
                 to the folder that holds include/{header} (docs/guide/cuda.md names NVIDIA's wheel of each header), \
                 or build without the feature",
                looked.join(", ")
            ));
        };
        if !found.contains(folder) {
            found.push(folder.clone());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of empty files, gone with the value.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[&str]) -> Self {
            let root =
                std::env::temp_dir().join(format!("cuda-headers-{}-{name}", std::process::id()));
            for file in files {
                let path = root.join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn the_environment_goes_ahead_of_the_wheels() {
        let found = candidates(["/opt/cuda".into()], Path::new("/env/site-packages/torch/lib"));
        let expected = [
            "/opt/cuda/include",
            "/env/site-packages/nvidia/cu13/include",
            "/env/site-packages/nvidia/cuda_runtime/include",
            "/env/site-packages/nvidia/cuda_nvcc/include",
            "/env/site-packages/nvidia/cuda_cccl/include",
            "/env/site-packages/nvidia/cublas/include",
            "/env/site-packages/nvidia/cusparse/include",
            "/env/site-packages/nvidia/cusolver/include",
            "/env/site-packages/nvidia/nccl/include",
            "/usr/local/cuda/include",
            "/usr/include",
        ];
        let expected = expected.into_iter().map(PathBuf::from);
        let expected: Vec<_> =
            expected.flat_map(|folder| [folder.clone(), folder.join("cccl")]).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn headers_of_seven_wheels_make_seven_folders() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let files: Vec<String> =
            names.iter().zip(NEEDED).map(|(name, header)| format!("{name}/{header}")).collect();
        let tree = Tree::new("seven", &files.iter().map(String::as_str).collect::<Vec<_>>());
        let folders: Vec<PathBuf> =
            ["none"].iter().chain(&names).map(|name| tree.0.join(name)).collect();
        assert_eq!(find(&folders).unwrap(), folders[1..]);
    }

    #[test]
    fn a_toolkit_is_one_folder() {
        let files: Vec<String> = NEEDED.iter().map(|header| format!("a/{header}")).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).chain(["b/nccl.h"]).collect();
        let tree = Tree::new("one", &files);
        let folders = ["a", "b"].map(|name| tree.0.join(name));
        assert_eq!(find(&folders).unwrap(), folders[..1]);
    }

    #[test]
    fn a_missing_header_is_named_with_where_it_was_sought() {
        let tree = Tree::new("missing", &["a/cuda_runtime_api.h"]);
        let error = find(&[tree.0.join("a"), tree.0.join("b")]).unwrap_err();
        let place = tree.0.display();
        assert!(
            error.starts_with(&format!(
                "the feature `cuda` needs CUDA's header crt/host_config.h, which is not in {place}/a, {place}/b; set \
                 CUDA_HOME (for nccl.h NCCL_HOME) to the folder that holds include/crt/host_config.h"
            )),
            "{error}"
        );
    }
}
