//! From a folder on disk to a set in memory.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Cifar, File, Records, SIDE};
use crate::regular_file;
use crate::{Error, Images, Split};

/// The most bytes that an image takes in a pickle: twice its own, where they are written as text, its labels and its name.
const LONGEST_RECORD: u64 = 8 << 10;

impl Cifar {
    /// Loads a split from `folder`, which holds the files of the binary version or of the one for Python, or the folder that
    /// one of the official archives unpacks to. Where both are there, the binary version is read; the images are the same.
    ///
    /// # Errors
    /// A file that is missing or cannot be read; the errors of [`Cifar::parse`] and [`Cifar::parse_python`].
    pub fn load(self, folder: &Path, split: Split) -> Result<Images, Error> {
        let mut pixels = Vec::new();
        let mut labels = Vec::new();
        let python = self.find_python(folder, split)?;
        for file in self.files(split) {
            let records = match &python {
                Some(folder) => self.read_python(&folder.join(python_name(file)), file.records)?,
                None => {
                    let path = self.find(folder, file.name)?;
                    let bytes = self.read(&path, file.records)?;
                    self.parse(&path, &bytes, file.records)?
                }
            };
            pixels.extend_from_slice(&records.pixels);
            labels.extend_from_slice(&records.labels);
        }
        let class_names = self.class_names().iter().map(ToString::to_string).collect();
        Images::new(pixels, labels, SIDE, SIDE, class_names)
    }

    fn find(self, folder: &Path, name: &str) -> Result<PathBuf, Error> {
        let file = folder.join(name);
        let nested = folder.join(self.folder()).join(name);
        for candidate in [&file, &nested] {
            match fs::metadata(candidate) {
                Ok(_) => return Ok(candidate.clone()),
                Err(source) if is_absent(&source) => {}
                Err(source) => return Err(Error::Unreadable { file: candidate.clone(), source }),
            }
        }
        Err(Error::Missing { file, nested, set: self.name() })
    }

    /// The folder with the version for Python, which has the first file of the split; `None` where the binary version is, or
    /// neither.
    fn find_python(self, folder: &Path, split: Split) -> Result<Option<PathBuf>, Error> {
        let Some(first) = self.files(split).first() else { return Ok(None) };
        match self.find(folder, first.name) {
            Err(Error::Missing { .. }) => {}
            found => return found.map(|_| None),
        }
        let mut folders = [folder.to_path_buf(), folder.join(self.python_folder())].into_iter();
        Ok(folders.find(|folder| folder.join(python_name(first)).is_file()))
    }

    /// Reads a file of the version for Python. The length is checked first, so a wrong file costs no memory.
    fn read_python(self, path: &Path, records: usize) -> Result<Records, Error> {
        let unreadable = |source| Error::Unreadable { file: path.into(), source };
        let file = regular_file::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let most = (records as u64 + 1) * LONGEST_RECORD;
        if length > most {
            let problem = format!("it has {length} bytes, and {records} images {most} at most");
            return Err(self.python_problem(path, problem));
        }
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
        self.parse_python(path, &bytes, records)
    }

    /// The bytes of a file. The length is checked first, so a wrong file costs no memory.
    fn read(self, path: &Path, records: usize) -> Result<Vec<u8>, Error> {
        let unreadable = |source| Error::Unreadable { file: path.into(), source };
        let file = regular_file::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        self.check_length(path, length, records)?;
        let mut bytes = Vec::with_capacity(records * self.record_bytes());
        file.take(length).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }
}

/// The name of a file in the version for Python.
fn python_name(file: &File) -> &'static str {
    file.name.trim_end_matches(".bin")
}

/// Whether nothing has that name, also where a file stands in place of the folder.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
