//! The image of the kernels for a GPU is of the sources beside it.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Problem;
use crate::cuda_kernels::{FOLDER, SUM, sum};

/// Complains where the sources were changed and the image was not made again.
pub(super) fn check(root: &Path, problems: &mut Vec<Problem>) -> Result<()> {
    let folder = root.join(FOLDER);
    if !folder.is_dir() {
        return Ok(());
    }
    let kept = fs::read_to_string(folder.join(SUM)).unwrap_or_default();
    if kept.trim() != sum(&folder)? {
        let message =
            "the image of the kernels is not of these sources: run `cargo xtask cuda-kernels`";
        problems.push(Problem::new(&Path::new(FOLDER).join("kernels.fatbin"), 0, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_sources_are_seen() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(FOLDER);
        let found = || {
            let mut problems = Vec::new();
            check(root.path(), &mut problems).unwrap();
            problems.len()
        };
        assert_eq!(found(), 0);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("kernels.cu"), "one").unwrap();
        assert_eq!(found(), 1);
        fs::write(folder.join(SUM), sum(&folder).unwrap()).unwrap();
        assert_eq!(found(), 0);
        fs::write(folder.join("kernels.cu"), "two").unwrap();
        assert_eq!(found(), 1);
    }
}
