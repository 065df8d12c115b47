//! Files that are complete or absent: written under another name, synced, and renamed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

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
    // A name that nobody can guess, and that must be new: a link put there beforehand would lead somewhere else.
    let written = new_beside(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    });
    written.map(drop).map_err(FileError::on("write", path))
}

/// A new file in the folder of `path`, readable for those whom the umask allows. It is removed unless it is renamed.
fn new_beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
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

    #[cfg(unix)]
    #[test]
    fn no_link_leads_the_text_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let [path, stranger] = ["page.html", "stranger"].map(|name| folder.path().join(name));
        fs::write(&stranger, "untouched").unwrap();
        for name in ["page.html", "page.html.partial"] {
            std::os::unix::fs::symlink(&stranger, folder.path().join(name)).unwrap();
        }
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&stranger).unwrap(), "untouched");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
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
