//! The Parquet files of a set and the part that each is for: `train-00000-of-00002.parquet`, `data/test-….parquet`,
//! `default/validation/0000.parquet`.

use std::path::Path;

use super::super::files::{Entries, join};
use super::super::role::Role;
use super::super::skipped::Skipped;
use super::numbered;
use crate::first_few::first_few;
use crate::image_endings::ending;
use crate::{Error, LayoutError};

/// The deepest folder in which files are looked for.
const DEEPEST: usize = 4;

/// A file of the set, by its name relative to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    /// The part of the set; `None` where names say nothing.
    pub(super) role: Option<Role>,
}

/// The files in `root`: directly in it and in folders for the parts, or in `data`, or in the only other folder that has any.
///
/// Names without a part are ignored where others have one. Where none is for training, all files are one set.
pub(super) fn find(root: &Path, skipped: &mut Skipped) -> Result<Vec<Part>, Error> {
    let parts = within(root, "", 0, skipped)?;
    skipped.remarks.extend(numbered::remarks(parts.iter().map(|part| part.name.as_str())));
    let has = |role: Role| parts.iter().any(|part| part.role == Some(role));
    if !has(Role::Train) {
        if parts.iter().any(|part| part.role.is_some()) {
            let names: Vec<&String> = parts.iter().map(|part| &part.name).collect();
            let names = first_few(&names);
            skipped
                .remarks
                .push(format!("no file is named for training, so all are one set: {names}"));
        }
        let whole = |Part { name, .. }| Part { name, role: None };
        return Ok(parts.into_iter().map(whole).collect());
    }
    let (parts, others): (Vec<Part>, Vec<Part>) =
        parts.into_iter().partition(|part| part.role.is_some());
    if !others.is_empty() {
        let names: Vec<String> = others.into_iter().map(|part| part.name).collect();
        let (are, names) = (if names.len() == 1 { "is" } else { "are" }, first_few(&names));
        skipped
            .remarks
            .push(format!("{names} {are} ignored: not named for train, validation or test"));
    }
    Ok(parts)
}

/// Whether a file is one of Parquet by its name.
fn is_parquet(name: &str) -> bool {
    ending(name).is_some_and(|ending| matches!(ending.as_str(), "parquet" | "pq" | "parq"))
}

fn within(
    root: &Path,
    folder: &str,
    depth: usize,
    skipped: &mut Skipped,
) -> Result<Vec<Part>, Error> {
    let entries = Entries::list(root, folder, skipped)?;
    let mut files = own(folder, &entries);
    let full = || if folder.is_empty() { root.to_path_buf() } else { root.join(folder) };
    let none = || Error::from(LayoutError::NoParquet { folder: full() });
    if depth == DEEPEST && files.is_empty() {
        return Err(none());
    }
    for name in &entries.folders {
        if let Some(role) = Role::of(name) {
            below(root, &join(folder, name), depth + 1, role, &mut files, skipped)?;
        }
    }
    let holds = |name: &&String| has_any(root, &join(folder, name), depth + 1);
    let others = entries.folders.iter().filter(|name| Role::of(name).is_none());
    let folders: Vec<&String> = others.filter(holds).collect();
    if !files.is_empty() {
        if !folders.is_empty() {
            let names = first_few(&folders);
            skipped.remarks.push(format!(
                "the Parquet files in {names} are ignored: others lie beside them, in {}",
                full().display()
            ));
        }
        return Ok(files);
    }
    if let [first, _, ..] = folders[..]
        && folders.iter().all(|name| name.contains('='))
    {
        let (folder, first) = (full(), first.clone());
        return Err(LayoutError::Partitions { folder, first }.into());
    }
    match &folders[..] {
        [] => Err(none()),
        [only] => within(root, &join(folder, only), depth + 1, skipped),
        several => match several.iter().find(|name| **name == "data") {
            Some(data) => within(root, &join(folder, data), depth + 1, skipped),
            None => {
                let configurations = several.iter().map(|name| (*name).clone()).collect();
                let folder = full();
                Err(LayoutError::SeveralConfigurations { folder, configurations }.into())
            }
        },
    }
}

/// Adds the files in a folder for the part `role`, and below it.
fn below(
    root: &Path,
    folder: &str,
    depth: usize,
    role: Role,
    files: &mut Vec<Part>,
    skipped: &mut Skipped,
) -> Result<(), Error> {
    let entries = Entries::list(root, folder, skipped)?;
    files.extend(own(folder, &entries).into_iter().map(|part| Part { role: Some(role), ..part }));
    for name in entries.folders.iter().filter(|_| depth < DEEPEST) {
        below(root, &join(folder, name), depth + 1, role, files, skipped)?;
    }
    Ok(())
}

/// The files directly in a folder.
fn own(folder: &str, entries: &Entries) -> Vec<Part> {
    let files = entries.files.iter().filter(|name| is_parquet(name));
    files.map(|name| Part { name: join(folder, name), role: role(name) }).collect()
}

/// The part that a file is named for: by its name before the first `-` or `.`, else by a word of it.
fn role(name: &str) -> Option<Role> {
    let start = name.split(['-', '.']).next().unwrap_or_default();
    Role::of(start).or_else(|| Role::within(name))
}

/// Whether there is a file in a folder, or below it. A folder that cannot be read has none.
fn has_any(root: &Path, folder: &str, depth: usize) -> bool {
    let Ok(entries) = Entries::list(root, folder, &mut Skipped::default()) else { return false };
    entries.files.iter().any(|name| is_parquet(name))
        || (depth < DEEPEST
            && entries.folders.iter().any(|name| has_any(root, &join(folder, name), depth + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        root
    }

    /// `name role` of every file, and the remarks.
    fn found(names: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut skipped = Skipped::default();
        let parts = find(with(names).path(), &mut skipped).unwrap();
        let said = |part: Part| format!("{} {:?}", part.name, part.role);
        (parts.into_iter().map(said).collect(), skipped.remarks)
    }

    #[test]
    fn layouts_of_the_hub_are_known() {
        let cases: [(&[&str], &[&str]); 7] = [
            (
                &[
                    "data/train-00000-of-00001-ab.parquet",
                    "data/test-00000-of-00001.parquet",
                    "README.md",
                ],
                &[
                    "data/test-00000-of-00001.parquet Some(Test)",
                    "data/train-00000-of-00001-ab.parquet Some(Train)",
                ],
            ),
            (
                &["default/train/0000.parquet", "default/validation/0000.parquet"],
                &[
                    "default/train/0000.parquet Some(Train)",
                    "default/validation/0000.parquet Some(Validation)",
                ],
            ),
            (
                &["mnist/train-0.parquet", "mnist/test-0.parquet"],
                &["mnist/test-0.parquet Some(Test)", "mnist/train-0.parquet Some(Train)"],
            ),
            (
                &["train.parquet", "val.pq"],
                &["train.parquet Some(Train)", "val.pq Some(Validation)"],
            ),
            (&["pets-Training-0.PARQUET"], &["pets-Training-0.PARQUET Some(Train)"]),
            (&["0000.parquet", "part-1.parquet"], &["0000.parquet None", "part-1.parquet None"]),
            (&["test-0.parquet"], &["test-0.parquet None"]),
        ];
        for (names, expected) in cases {
            assert_eq!(found(names).0, expected, "{names:?}");
        }
    }

    #[test]
    fn parts_may_lie_in_files_and_in_folders() {
        let (names, remarks) = found(&["train-0.parquet", "test/0000.parquet"]);
        assert_eq!(names, ["train-0.parquet Some(Train)", "test/0000.parquet Some(Test)"]);
        assert!(remarks.is_empty());
        let (names, _) = found(&["train/a/0.parquet", "test/a/0.parquet"]);
        assert_eq!(names, ["test/a/0.parquet Some(Test)", "train/a/0.parquet Some(Train)"]);
        let (names, _) = found(&["default/partial-train/0.parquet", "default/test/0.parquet"]);
        assert_eq!(names.len(), 2);
        assert_eq!(names[0], "default/partial-train/0.parquet Some(Train)");
        let (names, remarks) = found(&["train.parquet", "data/test.parquet"]);
        assert_eq!(names, ["train.parquet Some(Train)"]);
        assert!(remarks[0].starts_with("the Parquet files in data are ignored"), "{remarks:?}");
        let (_, remarks) = found(&["test-0.parquet", "validation-0.parquet"]);
        assert_eq!(
            remarks,
            [
                "no file is named for training, so all are one set: test-0.parquet, validation-0.parquet"
            ]
        );
    }

    #[test]
    fn files_that_are_named_for_no_part_are_ignored_beside_others() {
        let (names, remarks) = found(&["train-0.parquet", "extra-0.parquet"]);
        assert_eq!(names, ["train-0.parquet Some(Train)"]);
        assert_eq!(
            remarks,
            ["extra-0.parquet is ignored: not named for train, validation or test"]
        );
    }

    #[test]
    fn several_configurations_and_none_are_refused() {
        let refusal = |names: &[&str]| {
            let root = with(names);
            let error = find(root.path(), &mut Skipped::default()).unwrap_err().to_string();
            error.replace(&root.path().display().to_string(), "ROOT")
        };
        assert_eq!(
            refusal(&["large/train-0.parquet", "small/train-0.parquet", "notes/a.txt"]),
            "ROOT holds several sets of Parquet files, large, small; give one of them: parquet:ROOT/large"
        );
        let none = "ROOT holds no Parquet files (.parquet), neither in it nor in a folder data; say where they are";
        assert_eq!(refusal(&["a.csv", "b/c.txt"]), none);
        assert_eq!(refusal(&["1/2/3/4/5/6/a.parquet"]), none);
        assert_eq!(found(&["data/a.parquet", "old/a.parquet"]).0, ["data/a.parquet None"]);
    }
}
