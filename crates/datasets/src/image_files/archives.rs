//! Archives that images are read from, kept open while they are in use.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::regular_file;

/// The most archives that are open at a time: half of the files that a process may open by default.
const OPEN: usize = 512;

/// Archives by number. An archive is opened when it is read; above [`OPEN`] the least recently used one is closed.
pub(super) struct Archives {
    paths: Vec<PathBuf>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// Each with the time of its last use, counted in uses.
    files: HashMap<u32, (Arc<File>, u64)>,
    uses: u64,
}

impl Archives {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, open: Mutex::default() }
    }

    /// One archive, number 0, that is open already and has no path.
    #[cfg(feature = "parquet")]
    pub(super) fn of_open(file: File) -> Self {
        let files = HashMap::from([(0, (Arc::new(file), 0))]);
        Self { paths: Vec::new(), open: Mutex::new(Open { files, uses: 0 }) }
    }

    /// Fills `bytes` from archive `number`, starting at `offset`.
    pub(super) fn read(&self, number: u32, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let file = self.file(number)?;
        read_exact_at(&file, bytes, offset)
    }

    fn file(&self, number: u32) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.uses += 1;
        let now = open.uses;
        if let Some((file, used)) = open.files.get_mut(&number) {
            *used = now;
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(regular_file::open(&self.paths[number as usize])?);
        if open.files.len() == OPEN {
            let oldest = open.files.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = oldest.map(|(&number, _)| number).expect("OPEN archives are open");
            open.files.remove(&oldest);
        }
        open.files.insert(number, (Arc::clone(&file), now));
        Ok(file)
    }

    /// The numbers of the open archives, in order.
    #[cfg(test)]
    pub(super) fn open(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = self.open.lock().unwrap().files.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }
}

/// Fills `bytes` from `offset` of the file, whose position other threads may use meanwhile.
#[cfg(unix)]
pub(super) fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Fills `bytes` from `offset` of the file. The position of the file moves, but nothing here reads from it.
#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                bytes = &mut bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_the_limit_the_least_recently_used_archive_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let count = OPEN as u32 + 10;
        let paths: Vec<PathBuf> =
            (0..count).map(|number| folder.path().join(number.to_string())).collect();
        for (number, path) in (0..count).zip(&paths) {
            std::fs::write(path, number.to_le_bytes()).unwrap();
        }
        let archives = Archives::new(paths);
        assert!(archives.open().is_empty());
        let check = |number: u32| {
            let mut bytes = [0; 4];
            archives.read(number, 0, &mut bytes).unwrap();
            assert_eq!(u32::from_le_bytes(bytes), number);
        };
        for number in 0..count {
            check(number);
            check(0);
        }
        let open = archives.open();
        assert!(open.len() == OPEN && open[..2] == [0, 11], "{open:?}");
        check(1);
        assert_eq!(archives.open()[..3], [0, 1, 12]);
    }
}
