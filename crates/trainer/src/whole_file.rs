//! Files that are complete or absent: written under another name, synced, and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::file_error::FileError;

/// Writes `text` to `path`, and replaces a file that is there. A reader sees the old file or the new one, never a part.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), FileError> {
    write_bytes(path, text.as_bytes())
}

/// [`write`] of bytes. What is there and is no regular file, such as a device or a pipe, is written to as it is.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    if is_special(path) {
        let written = OpenOptions::new().write(true).open(path);
        return written
            .and_then(|mut file| file.write_all(bytes))
            .map_err(FileError::on("write", path));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".partial");
    let beside = Path::new(&beside);
    let written = File::create(beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(beside, path)).map_err(|error| {
        // If the half-written file cannot be removed either, `error` says enough.
        fs::remove_file(beside).ok();
        FileError::on("write", path)(error)
    })
}

/// Whether `path` is there and neither a file, a folder nor a link.
fn is_special(path: &Path) -> bool {
    let kind = fs::symlink_metadata(path).map(|metadata| metadata.file_type());
    kind.is_ok_and(|kind| !(kind.is_file() || kind.is_dir() || kind.is_symlink()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        write(&path, "old").unwrap();
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/report.html");
        let error = write(&path, "").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
        let occupied = folder.path().join("folder");
        fs::create_dir_all(occupied.join("full")).unwrap();
        write(&occupied, "").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no partial file is left");
    }
}
