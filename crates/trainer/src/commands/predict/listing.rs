//! The inputs of `predict` as they are typed, and the files that they stand for: folders, patterns and lists.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::lines::{self, Lines};
use crate::commands::{Error, Refusal};
use crate::file_error::FileError;

/// A file to read, or the reason why there is none.
#[derive(Debug)]
pub(super) enum Found {
    /// A file.
    File(PathBuf),
    /// An input that leads to no file.
    Unusable(PathBuf, Box<Error>),
}

/// A part of the inputs.
enum Part {
    Found(Found),
    /// Paths that arrive while others are classified.
    Arriving(Lines),
}

/// All inputs, in order. Nothing of an image is read.
pub(super) struct Listing {
    parts: Vec<Part>,
    /// The one thing that was typed, unless there are several: if it leads to nothing, there is nothing else to say.
    pub(super) sole: Option<PathBuf>,
}

/// The next event of a listing.
#[derive(Debug)]
pub(super) enum Next {
    /// An input.
    Found(Found),
    /// The next path may be long in coming: what is there should not wait for it.
    Pause,
}

impl Listing {
    /// The files that `typed` stand for, then those of the `lists`.
    pub(super) fn new(typed: &[PathBuf], lists: &[PathBuf]) -> Self {
        let mut parts = Vec::new();
        for input in typed {
            if input.as_os_str() == "-" {
                parts.push(Part::Arriving(Lines::of_stdin()));
            } else {
                parts.extend(expanded(input).into_iter().map(Part::Found));
            }
        }
        for list in lists {
            match lines::of_list(list) {
                Ok(lines::List::Here(paths)) => {
                    let found = paths.iter().flat_map(|path| file_or_folder(path));
                    parts.extend(found.map(Part::Found));
                }
                Ok(lines::List::Arriving(lines)) => parts.push(Part::Arriving(lines)),
                Err(error) => {
                    let unusable = Found::Unusable(list.clone(), Box::new(error));
                    parts.push(Part::Found(unusable));
                }
            }
        }
        let sole = match (typed, lists) {
            ([sole], []) | ([], [sole]) => Some(sole.clone()),
            _ => None,
        };
        Self { parts, sole }
    }

    /// The number of inputs; `None` where some are yet to arrive.
    pub(super) fn known_number(&self) -> Option<usize> {
        let is_known = self.parts.iter().all(|part| matches!(part, Part::Found(_)));
        is_known.then_some(self.parts.len())
    }

    /// Passes one input after another to `take`, until that returns an error.
    pub(super) fn each<E>(self, mut take: impl FnMut(Next) -> Result<(), E>) -> Result<(), E> {
        for part in self.parts {
            match part {
                Part::Found(found) => take(Next::Found(found))?,
                Part::Arriving(lines) => lines.each(&mut |line| match line {
                    lines::Line::Pause => take(Next::Pause),
                    lines::Line::Path(path) => {
                        file_or_folder(&path).into_iter().map(Next::Found).try_for_each(&mut take)
                    }
                    lines::Line::End(from, error) => {
                        take(Next::Found(Found::Unusable(from, Box::new(error))))
                    }
                })?,
            }
        }
        Ok(())
    }
}

/// The files of an argument: a file, a folder, or a pattern that no shell has expanded.
fn expanded(input: &Path) -> Vec<Found> {
    let is_pattern = input.to_str().filter(|text| text.contains(['*', '?', '[']));
    match is_pattern.filter(|_| fs::symlink_metadata(input).is_err()) {
        Some(pattern) => matches(pattern),
        None => file_or_folder(input),
    }
}

/// The files that match `pattern`, in the order of their names, as a shell would pass them.
fn matches(pattern: &str) -> Vec<Found> {
    let refused = |problem| {
        let refusal = Refusal::NoMatch { pattern: pattern.to_string(), problem };
        vec![Found::Unusable(pattern.into(), Box::new(refusal.into()))]
    };
    let mut options = glob::MatchOptions::new();
    options.require_literal_separator = true;
    options.require_literal_leading_dot = true;
    let paths = match glob::glob_with(pattern, options) {
        Ok(paths) => paths,
        Err(error) => return refused(format!(": {}", error.msg)),
    };
    let mut found = Vec::new();
    for path in paths {
        match path {
            Ok(path) => found.extend(file_or_folder(&path)),
            Err(error) => {
                let folder = error.path().to_path_buf();
                found.push(unreadable(&folder, error.into()));
            }
        }
    }
    if found.is_empty() { refused(String::new()) } else { found }
}

/// `path` itself, or the images in the folder of that name.
fn file_or_folder(path: &Path) -> Vec<Found> {
    if !path.is_dir() {
        return vec![Found::File(path.to_path_buf())];
    }
    let mut found = Vec::new();
    walk(path, 0, &mut found);
    if found.is_empty() {
        let refusal = Refusal::NoImageIn { folder: path.to_path_buf() };
        found.push(Found::Unusable(path.to_path_buf(), Box::new(refusal.into())));
    }
    found
}

/// A folder of metadata that macOS puts into its archives.
const LEFT_BY_MACOS: &str = "__MACOSX";

/// The deepest nesting of folders: a link may lead to a folder above.
const DEEPEST: usize = 16;

/// Adds the images in `folder` and below in the order of their names. Links are followed, hidden names are not looked at.
fn walk(folder: &Path, depth: usize, found: &mut Vec<Found>) {
    if depth > DEEPEST {
        let refusal = Refusal::TooDeep { folder: folder.to_path_buf(), most: DEEPEST };
        found.push(Found::Unusable(folder.to_path_buf(), Box::new(refusal.into())));
        return;
    }
    let entries = fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| {
                let entry = entry?;
                let kind = entry.file_type()?;
                let is_folder = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
                Ok((entry.file_name(), is_folder))
            })
            .collect::<Result<Vec<(OsString, bool)>, std::io::Error>>()
    });
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return found.push(unreadable(folder, error)),
    };
    entries.sort_unstable();
    for (name, is_folder) in entries {
        let text = name.to_string_lossy();
        if text.starts_with('.') || text == LEFT_BY_MACOS {
            continue;
        }
        if is_folder {
            walk(&folder.join(&name), depth + 1, found);
        } else if datasets::is_image(&text) {
            found.push(Found::File(folder.join(&name)));
        }
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Found {
    Found::Unusable(path.to_path_buf(), Box::new(FileError::on("read", path)(error).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names below `root` of what `typed` stands for; of what cannot be used, the error.
    fn names(root: &Path, typed: &str) -> Vec<String> {
        let listing = Listing::new(&[root.join(typed)], &[]);
        let mut names = Vec::new();
        let each = listing.each(|next| {
            match next {
                Next::Found(Found::File(path)) => {
                    let below = path.strip_prefix(root).unwrap().to_str().unwrap();
                    names.push(below.replace('\\', "/"));
                }
                Next::Found(Found::Unusable(_, error)) => names.push(error.to_string()),
                Next::Pause => {}
            }
            Ok::<_, ()>(())
        });
        each.unwrap();
        names
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_is_its_images_in_the_order_of_their_names() {
        let folder = folder(&[
            "b.jpg",
            "a/2.PNG",
            "a/1.jpeg",
            "c/.hidden.jpg",
            ".hidden/1.jpg",
            "__MACOSX/1.jpg",
            "notes.txt",
            "a/deep/0.webp",
            "c.gif",
        ]);
        fs::create_dir(folder.path().join("looks-like.jpg")).unwrap();
        let expected = ["a/1.jpeg", "a/2.PNG", "a/deep/0.webp", "b.jpg", "c.gif"];
        assert_eq!(names(folder.path(), ""), expected);
        assert_eq!(names(folder.path(), "a/deep"), ["a/deep/0.webp"]);
        assert!(names(folder.path(), "c")[0].starts_with("there is no image in "));
    }

    #[test]
    fn a_pattern_is_what_a_shell_would_make_of_it() {
        let folder =
            folder(&["x/b.jpg", "x/a.jpg", "x/.c.jpg", "x/n.txt", "x/y/d.jpg", "x/y/z/e.jpg"]);
        let check = |pattern, expected: &[&str]| {
            assert_eq!(names(folder.path(), pattern), expected, "{pattern}");
        };
        check("x/*.jpg", &["x/a.jpg", "x/b.jpg"]);
        check("x/[b-z].*", &["x/b.jpg", "x/n.txt"]);
        check("x/**/*.jpg", &["x/a.jpg", "x/b.jpg", "x/y/d.jpg", "x/y/z/e.jpg"]);
        check("x/?", &["x/y/d.jpg", "x/y/z/e.jpg"]);
        let missed = names(folder.path(), "x/*.png");
        assert!(missed[0].contains("no file matches it as a pattern; *, ?,"), "{missed:?}");
        let broken = names(folder.path(), "x/[a.jpg");
        assert!(broken[0].contains("as a pattern: invalid range pattern; *"), "{broken:?}");
    }

    #[test]
    fn a_file_of_the_very_name_is_no_pattern() {
        let folder = folder(&["[1].jpg", "1.jpg"]);
        assert_eq!(names(folder.path(), "[1].jpg"), ["[1].jpg"]);
        assert_eq!(names(folder.path(), "[12].jpg"), ["1.jpg"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_folder_above_ends() {
        let folder = folder(&["a/1.jpg"]);
        std::os::unix::fs::symlink("..", folder.path().join("a/up")).unwrap();
        let names = names(folder.path(), "a");
        assert!(names.last().unwrap().contains("does a link lead to a folder above it?"));
        assert_eq!(names[0], "a/1.jpg");
    }

    #[test]
    fn the_number_of_inputs_is_known_unless_they_are_piped() {
        let folder = folder(&["a/1.jpg", "a/2.jpg"]);
        for (typed, number) in [("a/1.jpg", 1), ("none.jpg", 1), ("a", 2)] {
            let typed = folder.path().join(typed);
            let listing = Listing::new(std::slice::from_ref(&typed), &[]);
            assert_eq!((listing.known_number(), &listing.sole), (Some(number), &Some(typed)));
        }
        let stdin = Listing::new(&["-".into(), "x".into()], &[]);
        assert_eq!((stdin.known_number(), stdin.sole), (None, None));
    }
}
