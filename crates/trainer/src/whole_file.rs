//! Files that are complete or absent: written under another name, synced, and renamed.

use std::io::Read;
use std::path::Path;

use crate::file_error::FileError;

/// Writes `text` to `path`, and replaces a file that is there. A reader sees the old file or the new one, never a part.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), FileError> {
    write_bytes(path, text.as_bytes())
}

/// [`write`] of bytes.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    xception::weights::write_whole(path, bytes).map_err(FileError::on("write", path))
}

/// [`write`] of all that `content` has.
pub(crate) fn write_from(path: &Path, content: &mut dyn Read) -> Result<(), FileError> {
    xception::weights::write_whole_from(path, content).map_err(FileError::on("write", path))
}

#[cfg(test)]
mod tests {
    use std::fs;

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
