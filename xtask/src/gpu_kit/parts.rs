//! The data of a kit, divided among folders that are each small enough to be carried at once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::KIT;
use crate::durable;
use crate::files;
use crate::workspace::Workspace;

/// The folder of each part, as far as it is there: `gpu-kit-data-1` beside the kit, and so on.
pub(super) fn made(workspace: &Workspace) -> Vec<PathBuf> {
    (1..).map(|number| part(workspace, number)).take_while(|part| part.is_dir()).collect()
}

fn part(workspace: &Workspace, number: usize) -> PathBuf {
    workspace.root().join(format!("{KIT}-data-{number}"))
}

/// Copies the files of `mosaics` into the kit until it has `limit` bytes, and the rest into as many parts as that takes.
/// Small files come first: labels and sums travel with the kit.
pub(super) fn divide(workspace: &Workspace, mosaics: &Path, kit: &Path, limit: u64) -> Result<()> {
    for old in made(workspace) {
        durable::remove_any(&old).with_context(|| format!("cannot replace {}", old.display()))?;
    }
    let mut sizes = files::sizes(mosaics)?;
    sizes.sort();
    let mut folder = kit.to_owned();
    let mut filled: u64 = files::sizes(kit)?.iter().map(|(size, _)| size).sum();
    let mut parts = 0;
    for (size, name) in sizes {
        if filled + size >= limit {
            parts += 1;
            folder = part(workspace, parts);
            filled = 0;
        }
        filled += size;
        files::copy_if_changed(&mosaics.join(&name), &folder.join("mosaics").join(&name))?;
    }
    eprintln!("the data is in the kit and {parts} more folders, {KIT}-data-1 and so on");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_folder_stays_below_the_limit_and_no_file_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        let (mosaics, kit) = (folder.path().join("mosaics"), folder.path().join("kit"));
        fs::create_dir_all(&mosaics).unwrap();
        fs::create_dir_all(&kit).unwrap();
        fs::write(kit.join("program"), [0; 50]).unwrap();
        for number in 0..9 {
            fs::write(mosaics.join(format!("{number}.webp")), [number; 30]).unwrap();
        }
        fs::write(mosaics.join("z.labels"), "few").unwrap();
        fs::create_dir_all(part(&workspace, 1).join("mosaics/old")).unwrap();
        divide(&workspace, &mosaics, &kit, 100).unwrap();
        let names = |folder: &Path| files::files(&folder.join("mosaics")).unwrap();
        assert_eq!(names(&kit), ["0.webp", "z.labels"].map(PathBuf::from));
        let parts = made(&workspace);
        let counts: Vec<_> = parts.iter().map(|part| names(part).len()).collect();
        assert_eq!(counts, [3, 3, 2]);
        divide(&workspace, &mosaics, &kit, 1000).unwrap();
        assert!(made(&workspace).is_empty(), "parts of an earlier kit stay");
    }
}
