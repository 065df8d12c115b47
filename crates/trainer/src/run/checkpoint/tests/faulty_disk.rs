//! A disk that fails when it is told to.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::super::{Disk, RealDisk};

/// The failure of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// With an error of the device.
    Error,
    /// For want of room.
    Full,
    /// With half of it done, where there is a half.
    HalfWritten,
    /// As the last thing that happens: every later call fails too.
    Crash,
}

/// The real disk, but for one call.
pub(super) struct FaultyDisk {
    at: u64,
    fault: Fault,
    failed: Cell<bool>,
    /// The calls, in order.
    pub(super) calls: RefCell<Vec<&'static str>>,
    /// The free bytes that it reports, if not those of the real disk.
    pub(super) free: Option<u64>,
}

impl FaultyDisk {
    /// Fails at call number `at`, from 0.
    pub(super) fn failing(at: u64, fault: Fault) -> Self {
        Self { at, fault, failed: Cell::new(false), calls: RefCell::default(), free: None }
    }

    /// Whether it came to that.
    pub(super) fn failed(&self) -> bool {
        self.failed.get()
    }

    fn call(&self, name: &'static str) -> io::Result<()> {
        let number = self.calls.borrow().len() as u64;
        self.calls.borrow_mut().push(name);
        let crashed = self.failed.get() && self.fault == Fault::Crash;
        if number != self.at && !crashed {
            return Ok(());
        }
        self.failed.set(true);
        Err(match self.fault {
            Fault::Full => io::ErrorKind::StorageFull.into(),
            _ => io::Error::other("the device failed"),
        })
    }
}

impl Disk for &FaultyDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.call("create_folder")?;
        RealDisk.create_folder(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<File> {
        self.call("create_file")?;
        RealDisk.create_file(path)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let called = self.call("write");
        if called.is_err() && matches!(self.fault, Fault::HalfWritten | Fault::Full) {
            RealDisk.write(file, &bytes[..bytes.len() / 2])?;
        }
        called?;
        RealDisk.write(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.call("sync")?;
        RealDisk.sync(file)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.call("open")?;
        RealDisk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("rename")?;
        RealDisk.rename(from, to)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let called = self.call("remove_folder");
        if called.is_err()
            && self.fault == Fault::HalfWritten
            && let Some(first) = RealDisk.list(path)?.first()
        {
            std::fs::remove_file(first)?;
        }
        called?;
        RealDisk.remove_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.call("list")?;
        RealDisk.list(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.call("read")?;
        RealDisk.read(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.call("free_bytes")?;
        match self.free {
            Some(free) => Ok(free),
            None => RealDisk.free_bytes(path),
        }
    }
}
