//! The image of the kernels for a GPU is of the sources beside it, and of the compiler and flags that `cuda_kernels.rs` names.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Problem;
use crate::cuda_kernels::{FOLDER, IMAGE, SUMS, sums};

/// Complains where the image, or what it follows from, is not what it was when the image was made.
pub(super) fn check(root: &Path, problems: &mut Vec<Problem>) -> Result<()> {
    let folder = root.join(FOLDER);
    if !folder.is_dir() {
        return Ok(());
    }
    let kept = fs::read_to_string(folder.join(SUMS)).unwrap_or_default();
    for (name, sum) in sums(root)? {
        if !kept.lines().any(|line| line == format!("{sum}  {name}")) {
            let message = format!(
                "{name}: not as in {SUMS}, which was written with the image: run `cargo xtask cuda-kernels`, or put them \
                 back"
            );
            problems.push(Problem::new(&Path::new(FOLDER).join(IMAGE), 0, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPILER: &str = "xtask/cuda/requirements.txt";

    /// The names of what has changed.
    fn changed(root: &Path) -> Vec<String> {
        let mut problems = Vec::new();
        check(root, &mut problems).unwrap();
        let names = problems.iter().map(|problem| problem.message.split(':').next());
        names.map(|name| name.unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn each_change_is_seen_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(changed(root).is_empty());
        let kernels = Path::new(FOLDER);
        fs::create_dir_all(root.join(kernels)).unwrap();
        fs::create_dir_all(root.join("xtask/cuda")).unwrap();
        let files = [
            ("sources", kernels.join("kernels.cu")),
            ("compiler and flags", COMPILER.into()),
            ("image", kernels.join(IMAGE)),
        ];
        for (_, file) in &files {
            fs::write(root.join(file), "one").unwrap();
        }
        assert_eq!(changed(root), files.each_ref().map(|(name, _)| *name));
        let kept = sums(root).unwrap().map(|(name, sum)| format!("{sum}  {name}\n")).concat();
        fs::write(root.join(kernels).join(SUMS), &kept).unwrap();
        for (name, file) in &files {
            assert!(changed(root).is_empty());
            fs::write(root.join(file), "two").unwrap();
            assert_eq!(changed(root), [*name]);
            fs::write(root.join(file), "one").unwrap();
        }
        let other_flags = kept.lines().filter(|line| !line.ends_with("flags"));
        let other_flags = other_flags.collect::<Vec<_>>().join("\n");
        fs::write(root.join(kernels).join(SUMS), other_flags).unwrap();
        assert_eq!(changed(root), ["compiler and flags"]);
    }

    #[test]
    fn a_comment_on_the_compiler_is_no_other_compiler() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join(FOLDER)).unwrap();
        fs::create_dir_all(root.join("xtask/cuda")).unwrap();
        fs::write(root.join(FOLDER).join(IMAGE), "").unwrap();
        let of = |text: &str| {
            fs::write(root.join(COMPILER), text).unwrap();
            sums(root).unwrap()
        };
        assert_eq!(of("nvcc==1\n"), of("# A comment.\nnvcc==1\n"));
        assert_ne!(of("nvcc==1\n"), of("nvcc==2\n"));
    }
}
