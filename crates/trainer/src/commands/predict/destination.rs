//! The place of the results: standard output at once, or a file that is whole or absent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use crate::commands::{Reader, print_bytes};
use crate::file_error::FileError;
use crate::whole_file;

/// The place that results are written to as they come.
pub(super) enum Destination {
    /// Standard output.
    Stdout(Reader),
    /// A file. Until the end, the results are in one without a name, which the system removes however the program ends.
    File { path: PathBuf, spool: BufWriter<File> },
    /// A pipe or a device.
    Device { path: PathBuf, file: File, reader: Reader },
}

impl Destination {
    /// Standard output, or the file, pipe or device at `out`.
    ///
    /// # Errors
    /// A place that cannot be written to: before any work is done for it.
    pub(super) fn open(out: Option<&Path>) -> Result<Self, FileError> {
        let Some(path) = out else { return Ok(Self::Stdout(Reader::There)) };
        let refused = |error| FileError::on("write", path)(error);
        match fs::metadata(path).map(|metadata| metadata.file_type()) {
            Ok(kind) if kind.is_dir() => Err(refused(io::ErrorKind::IsADirectory.into())),
            Ok(kind) if !kind.is_file() => {
                let file = OpenOptions::new().write(true).open(path).map_err(refused)?;
                Ok(Self::Device { path: path.to_path_buf(), file, reader: Reader::There })
            }
            _ => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let spool = tempfile::tempfile_in(folder.unwrap_or(Path::new(".")));
                let spool = BufWriter::new(spool.map_err(refused)?);
                Ok(Self::File { path: path.to_path_buf(), spool })
            }
        }
    }

    /// Writes the next part. A reader that has gone is no error.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        if bytes.is_empty() || self.reader() == Reader::Gone {
            return Ok(());
        }
        match self {
            Self::Stdout(reader) => *reader = print_bytes(bytes)?,
            Self::File { path, spool } => {
                spool.write_all(bytes).map_err(FileError::on("write", path))?;
            }
            Self::Device { path, file, reader } => match file.write_all(bytes) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => *reader = Reader::Gone,
                written => written.map_err(FileError::on("write", path))?,
            },
        }
        Ok(())
    }

    /// Whether anybody will read what is written from now on.
    pub(super) fn reader(&self) -> Reader {
        match self {
            Self::Stdout(reader) | Self::Device { reader, .. } => *reader,
            Self::File { .. } => Reader::There,
        }
    }

    /// Ends the results: a file gets its name.
    pub(super) fn finish(self) -> Result<(), FileError> {
        let Self::File { path, spool } = self else { return Ok(()) };
        let file = spool.into_inner().map_err(io::IntoInnerError::into_error);
        let rewound = file.and_then(|mut file| file.rewind().map(|()| file));
        whole_file::write_from(&path, &mut rewound.map_err(FileError::on("write", &path))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        fs::write(&path, "old").unwrap();
        let mut destination = Destination::open(Some(&path)).unwrap();
        destination.write(b"new ").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        destination.write(b"one").unwrap();
        destination.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new one");
        drop(Destination::open(Some(&folder.path().join("none"))).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_takes_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_path_buf(), folder.path().join("missing/out.csv")] {
            let Err(error) = Destination::open(Some(&path)) else { panic!("{}", path.display()) };
            assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to() {
        let mut destination = Destination::open(Some(Path::new("/dev/null"))).unwrap();
        destination.write(b"lost").unwrap();
        assert_eq!(destination.reader(), Reader::There);
        destination.finish().unwrap();
    }
}
