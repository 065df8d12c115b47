//! Regular files only: opening a pipe waits for somebody who writes to it, and a device never ends.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Opens the file at `path` to be read; links are followed.
///
/// # Errors
/// The system's, and whatever is there but no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() {
        return File::open(path);
    }
    let kind = if kind.is_dir() { "it is a folder" } else { "it is a device, a pipe or a socket" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{kind}, and no file")))
}

/// The bytes of the regular file at `path`.
///
/// # Errors
/// As of [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of the regular file at `path`.
///
/// # Errors
/// As of [`open`], and bytes that are not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    io::read_to_string(open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_devices_are_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let error = open(folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "it is a folder, and no file");
        if cfg!(unix) {
            let error = open(Path::new("/dev/null")).unwrap_err();
            assert_eq!(error.to_string(), "it is a device, a pipe or a socket, and no file");
            assert_eq!(read(Path::new("/dev/zero")).unwrap_err().to_string(), error.to_string());
        }
        assert_eq!(open(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
