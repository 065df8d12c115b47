//! A download in progress: a file named by the hash it is to have, and the hash of what it holds.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::durable;

/// A partial file that is open for appending.
pub struct Partial {
    path: PathBuf,
    file: File,
    hasher: Sha256,
    len: u64,
}

/// The server's validators of the version that a partial file is the beginning of.
#[derive(Debug, PartialEq, Eq)]
pub struct Validator {
    /// The address that the bytes came from; validators of another address mean nothing here.
    pub url: String,
    /// A strong `ETag`, or a `Last-Modified` date.
    pub value: String,
}

impl Partial {
    /// Opens `<folder>/<sha256>.partial`, and hashes what an earlier run left in it.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or read.
    pub fn open(folder: &Path, sha256: &str) -> io::Result<Self> {
        let path = folder.join(format!("{sha256}.partial"));
        let options =
            File::options().create(true).read(true).write(true).truncate(false).open(&path);
        let mut partial = Self { file: options?, path, hasher: Sha256::new(), len: 0 };
        let mut buffer = vec![0; 1 << 20];
        loop {
            match partial.file.read(&mut buffer)? {
                0 => return Ok(partial),
                n => {
                    partial.hasher.update(&buffer[..n]);
                    partial.len += n as u64;
                }
            }
        }
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing has come yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    ///
    /// When the disk does not take them.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Empties the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be truncated.
    pub fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Sha256::new();
        self.len = 0;
        durable::remove_any(&self.validator_path())
    }

    /// The validator that [`Partial::keep_validator`] stored.
    pub fn validator(&self) -> Option<Validator> {
        let text = fs::read_to_string(self.validator_path()).ok()?;
        let (url, value) = text.split_once('\n')?;
        Some(Validator { url: url.into(), value: value.trim_end().into() })
    }

    /// Stores what the server said about this version, for a later `If-Range`.
    ///
    /// # Errors
    ///
    /// When the file beside the partial one cannot be written.
    pub fn keep_validator(&self, validator: &Validator) -> io::Result<()> {
        fs::write(self.validator_path(), format!("{}\n{}\n", validator.url, validator.value))
    }

    /// SHA-256 of the bytes so far, in hex.
    pub fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// Syncs the bytes and gives them their final name.
    ///
    /// # Errors
    ///
    /// When the sync or the rename fails; the partial file stays.
    pub fn finish(self, to: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        durable::rename(&self.path, to)?;
        durable::remove_any(&self.validator_path())
    }

    /// Removes the file and its validator.
    ///
    /// # Errors
    ///
    /// When they cannot be removed.
    pub fn delete(self) -> io::Result<()> {
        durable::remove_any(&self.validator_path())?;
        durable::remove_any(&self.path)
    }

    fn validator_path(&self) -> PathBuf {
        self.path.with_extension("validator")
    }
}

/// SHA-256 and length of everything `reader` gives.
///
/// # Errors
///
/// When reading fails.
pub fn sha256_of(mut reader: impl Read) -> io::Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut len = 0;
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok((hex(&hasher.finalize()), len)),
            n => {
                hasher.update(&buffer[..n]);
                len += n as u64;
            }
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
