//! The bytes of images, copied once into a file without a name, since pages of Parquet cannot be read from the middle.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// The buffer before the file, in bytes.
const BUFFER: usize = 1 << 18;

/// Images, one after another. The system removes the file when it is closed, however the program ends.
#[derive(Debug)]
pub(super) struct Spool {
    file: BufWriter<File>,
    folder: PathBuf,
    length: u64,
}

impl Spool {
    /// An empty one in `folder`.
    pub(super) fn new(folder: &Path) -> Result<Self, Error> {
        let refused = |source| Error::Spool { folder: folder.to_path_buf(), written: 0, source };
        let file = tempfile::tempfile_in(folder).map_err(refused)?;
        let file = BufWriter::with_capacity(BUFFER, file);
        Ok(Self { file, folder: folder.to_path_buf(), length: 0 })
    }

    /// Adds the bytes of an image, and returns their place.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<u64, Error> {
        let place = self.length;
        if let Err(source) = self.file.write_all(bytes) {
            return Err(self.refused(source));
        }
        self.length += bytes.len() as u64;
        Ok(place)
    }

    /// Number of bytes so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The file, once everything is in it.
    pub(super) fn finish(mut self) -> Result<File, Error> {
        if let Err(source) = self.file.flush() {
            return Err(self.refused(source));
        }
        let (folder, written) = (self.folder, self.length);
        let refused = |error: std::io::IntoInnerError<_>| Error::Spool {
            folder,
            written,
            source: error.into_error(),
        };
        self.file.into_inner().map_err(refused)
    }

    fn refused(&self, source: std::io::Error) -> Error {
        Error::Spool { folder: self.folder.clone(), written: self.length, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_files::archives::read_exact_at;

    #[test]
    fn images_lie_at_their_places_and_leave_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path()).unwrap();
        let places = [&b"one"[..], b"", b"three"].map(|image| spool.add(image).unwrap());
        assert_eq!((places, spool.length()), ([0, 3, 3], 8));
        let file = spool.finish().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut bytes = [0; 5];
        read_exact_at(&file, &mut bytes, 3).unwrap();
        assert_eq!(&bytes, b"three");
    }

    #[test]
    fn a_folder_that_takes_no_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Spool::new(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none") && error.contains("TMPDIR"), "{error}");
    }

    /// A device that is always full.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_said() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let file = BufWriter::with_capacity(16, full);
        let mut spool = Spool { file, folder: "/somewhere".into(), length: 5_999_999 };
        let error = spool.add(&[1; 100]).unwrap_err();
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(reason.contains("No space left"), "{reason}");
        assert_eq!(
            error.to_string(),
            "cannot write images to a temporary file in /somewhere, after 5 MB; make room there, or set TMPDIR to \
             another folder"
        );
    }
}
