//! From a folder on disk to a set in memory.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Cifar, SIDE};
use crate::regular_file;
use crate::{Error, Images, Split};

/// The version for Python: the same images, as pickles.
struct Pickled {
    /// The folder that its archive unpacks to.
    folder: &'static str,
    files: [&'static str; 2],
}

impl Cifar {
    /// Loads a split from `folder`, which holds the `.bin` files, or the folder that the official archive unpacks to.
    ///
    /// # Errors
    /// A file that is missing or cannot be read; the errors of [`Cifar::parse`].
    pub fn load(self, folder: &Path, split: Split) -> Result<Images, Error> {
        let mut pixels = Vec::new();
        let mut labels = Vec::new();
        for file in self.files(split) {
            let path = self.find(folder, file.name)?;
            let bytes = self.read(&path, file.records)?;
            let records = self.parse(&path, &bytes, file.records)?;
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
        let pickled = self.pickled();
        let mut folders = [folder.to_path_buf(), folder.join(pickled.folder)].into_iter();
        match folders.find(|folder| pickled.files.iter().all(|name| folder.join(name).is_file())) {
            Some(folder) => Err(Error::PythonVersion { folder, set: self.name() }),
            None => Err(Error::Missing { file, nested, set: self.name() }),
        }
    }

    /// The files by which the set's version for Python is known.
    fn pickled(self) -> Pickled {
        match self {
            Self::Cifar10 => {
                Pickled { folder: "cifar-10-batches-py", files: ["data_batch_1", "batches.meta"] }
            }
            Self::Cifar100 => Pickled { folder: "cifar-100-python", files: ["train", "meta"] },
        }
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

/// Whether nothing has that name, also where a file stands in place of the folder.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
