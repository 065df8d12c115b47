//! Paths that come one a line, from a list or as another program writes them.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::commands::{Error, Refusal};
use crate::file_error::FileError;

/// The most bytes of a line: no system has longer paths.
const LONGEST: u64 = 1 << 16;

/// Lines that are read one by one.
pub(super) struct Lines {
    /// For messages.
    from: PathBuf,
    reader: Box<dyn Read + Send>,
}

/// An event among lines.
#[derive(Debug)]
pub(super) enum Line {
    /// A path.
    Path(PathBuf),
    /// The next line may be long in coming.
    Pause,
    /// Lines of this name that end with an error.
    End(PathBuf, Error),
}

/// The content of a list.
pub(super) enum List {
    /// All of it.
    Here(Vec<PathBuf>),
    /// A pipe.
    Arriving(Lines),
}

/// The list in the file at `path`, which may be a pipe.
///
/// # Errors
/// A file that cannot be read, or that has no path in it.
pub(super) fn of_list(path: &Path) -> Result<List, Error> {
    let is_regular = fs::metadata(path).map_err(FileError::on("read", path))?.is_file();
    let file = File::open(path).map_err(FileError::on("read", path))?;
    let lines = |reader| Lines { from: path.to_path_buf(), reader };
    if !is_regular {
        return Ok(List::Arriving(lines(Box::new(file))));
    }
    let bytes = datasets::regular_file::read(path).map_err(FileError::on("read", path))?;
    // As PowerShell and Notepad write it; a path of bytes stays what it is.
    let bytes = match bytes[..] {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => datasets::text::decoded(&bytes).into_bytes(),
        _ => bytes,
    };
    let mut paths = Vec::new();
    lines(Box::new(io::Cursor::new(bytes))).each(&mut |line| match line {
        Line::Path(path) => {
            paths.push(path);
            Ok(())
        }
        Line::Pause => Ok(()),
        Line::End(_, error) => Err(error),
    })?;
    Ok(List::Here(paths))
}

impl Lines {
    /// The lines of standard input.
    pub(super) fn of_stdin() -> Self {
        Self { from: "-".into(), reader: Box::new(io::stdin()) }
    }

    /// Passes one event after another to `take`, until that returns an error. Empty lines are skipped.
    pub(super) fn each<E>(self, take: &mut dyn FnMut(Line) -> Result<(), E>) -> Result<(), E> {
        let name = match self.from.to_str() {
            Some("-") => "standard input".to_string(),
            _ => self.from.display().to_string(),
        };
        let mut reader = BufReader::new(self.reader);
        let (mut bytes, mut number, mut is_empty) = (Vec::new(), 0_u64, true);
        loop {
            if !reader.buffer().contains(&b'\n') {
                take(Line::Pause)?;
            }
            bytes.clear();
            match reader.by_ref().take(LONGEST).read_until(b'\n', &mut bytes) {
                Ok(0) if is_empty => {
                    let refusal = Refusal::NothingListed { from: name };
                    return take(Line::End(self.from, refusal.into()));
                }
                Ok(0) => return Ok(()),
                Ok(length) if length as u64 == LONGEST && !bytes.ends_with(b"\n") => {
                    let refusal = Refusal::LongLine { from: name, most: LONGEST };
                    return take(Line::End(self.from, refusal.into()));
                }
                Ok(_) => {}
                Err(error) => {
                    let error = FileError::on("read", Path::new(&name))(error);
                    return take(Line::End(self.from, error.into()));
                }
            }
            number += 1;
            let line = path_of(&bytes, number == 1);
            if !line.is_empty() {
                is_empty = false;
                take(Line::Path(path(line)))?;
            }
        }
    }
}

/// A line without its end, the first one without the byte-order mark that some editors write.
fn path_of(line: &[u8], is_first: bool) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if is_first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line }
}

/// The path of these bytes, of UTF-8 or not.
#[cfg(unix)]
fn path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(datasets::text::decoded(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// The events of lines that arrive in these pieces: paths, `…` for a pause, errors.
    fn events(pieces: &[&'static [u8]]) -> Vec<String> {
        struct Pieces(VecDeque<&'static [u8]>);
        impl Read for Pieces {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let piece = self.0.pop_front().unwrap_or_default();
                buffer[..piece.len()].copy_from_slice(piece);
                Ok(piece.len())
            }
        }
        let reader = Box::new(Pieces(pieces.iter().copied().collect()));
        let mut events = Vec::new();
        let each = Lines { from: "-".into(), reader }.each(&mut |line| {
            events.push(match line {
                Line::Path(path) => path.display().to_string(),
                Line::Pause => "…".to_string(),
                Line::End(_, error) => error.to_string(),
            });
            Ok::<_, ()>(())
        });
        each.unwrap();
        events
    }

    #[test]
    fn paths_come_one_a_line() {
        let events = events(&[b"\xef\xbb\xbfa.jpg\r\n\n b,\"c.jpg\nlast"]);
        assert_eq!(events, ["…", "a.jpg", " b,\"c.jpg", "…", "last", "…"]);
    }

    #[test]
    fn a_pause_is_where_more_has_to_be_read() {
        let events = events(&[b"a\nb\nc", b"d\n", b"e\n"]);
        assert_eq!(events, ["…", "a", "b", "…", "cd", "…", "e", "…"]);
    }

    #[test]
    fn lines_that_are_no_paths_are_refused() {
        let nothing = events(&[b"\n\r\n"]);
        assert_eq!(
            nothing.last().unwrap(),
            "standard input names no image: give paths, one a line"
        );
        let long: Vec<&'static [u8]> = vec![&[b'x'; 4096]; 17];
        let long = events(&long);
        assert!(long.last().unwrap().contains("standard input has more than 65536 bytes"));
        let many: Vec<&'static [u8]> = vec![b"short\n"; 20_000];
        assert_eq!(events(&many).iter().filter(|event| *event == "short").count(), 20_000);
    }

    #[test]
    fn a_list_has_the_encoding_of_any_editor() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list.txt");
        fs::write(&list, b"\xff\xfea\0\n\0\xe4\0\n\0").unwrap();
        let List::Here(paths) = of_list(&list).unwrap() else { panic!("a file is here") };
        assert_eq!(paths, [Path::new("a"), Path::new("ä")]);
        fs::write(&list, "\n").unwrap();
        let Err(error) = of_list(&list) else { panic!("there is no path") };
        assert!(error.to_string().contains("list.txt names no image"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_name_may_be_any_bytes() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(path(b"\xff.jpg").as_os_str().as_bytes(), b"\xff.jpg");
    }
}
