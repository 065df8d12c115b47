//! Archives that images are read from, open while they are in use.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Those that are open at a time; half of what a process may open unless somebody allowed it more.
const OPEN: usize = 512;

/// Archives by number. Each is opened when something is read from it; of too many the one that was not used for longest is
/// closed.
pub(super) struct Archives {
    paths: Vec<PathBuf>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// With when it was used last.
    files: HashMap<u32, (Arc<File>, u64)>,
    uses: u64,
}

impl Archives {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, open: Mutex::default() }
    }

    /// Fills `bytes` with what lies in archive `number` from `offset` on.
    pub(super) fn read(&self, number: u32, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file(number)?.read_exact_at(bytes, offset)
    }

    fn file(&self, number: u32) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.uses += 1;
        let now = open.uses;
        if let Some((file, used)) = open.files.get_mut(&number) {
            *used = now;
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(&self.paths[number as usize])?);
        if open.files.len() == OPEN {
            let oldest = open.files.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = oldest.map(|(&number, _)| number).expect("some are open");
            open.files.remove(&oldest);
        }
        open.files.insert(number, (Arc::clone(&file), now));
        Ok(file)
    }

    /// Numbers of those that are open, in order.
    #[cfg(test)]
    pub(super) fn open(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = self.open.lock().unwrap().files.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_archives_the_one_that_lay_idle_is_closed() {
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
