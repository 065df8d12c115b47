//! `images.csv`: the images of a run and the part that each is for, so that weights are measured on no image that they were
//! trained on, whatever becomes of the folder of images.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use datasets::{Source, regular_file};

use crate::file_error::FileError;
use crate::label_names::label_names;
use crate::run::Error;
use crate::run::run_folder::RunFolder;
use crate::whole_file;

/// The file's name in a run's folder.
const FILE: &str = "images.csv";
/// Its columns.
const COLUMNS: [&str; 4] = ["image", "label", "split", "bytes"];

/// Writes [`FILE`] into the folder of a run: all images in `parts`, which are sets of files.
pub(crate) fn write(folder: &RunFolder, parts: &[(&str, &dyn Source)]) -> Result<(), Error> {
    let path = folder.file(FILE);
    let refused = |error: csv::Error| FileError::on("write", &path)(error.into());
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(COLUMNS).map_err(refused)?;
    for (split, images) in parts {
        for index in 0..images.len() {
            let Some((name, bytes)) = images.file(index) else { continue };
            let label = label_names(*images, index);
            let row = [name.as_str(), &label, split, &bytes.to_string()];
            table.write_record(row).map_err(refused)?;
        }
    }
    let text = table.into_inner().expect("memory takes what is written");
    Ok(whole_file::write_bytes(&path, &text)?)
}

/// The images of a run.
#[derive(Debug)]
pub(crate) struct ImageList {
    path: PathBuf,
    /// The split by the name of the image, relative to the set, and its length in bytes.
    splits: HashMap<(String, u64), String>,
    /// The same by the digest of the image's bytes, where names have one, and their length.
    by_content: HashMap<(String, u64), String>,
}

impl ImageList {
    /// The list of the run that wrote the file `weights`; `None` where no list lies beside it.
    pub(crate) fn beside(weights: &Path) -> Result<Option<Self>, Error> {
        let path = weights.with_file_name(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let text = regular_file::read_to_string(&path).map_err(FileError::on("read", &path))?;
        let unusable = |problem: String| Error::ImageList { path: path.clone(), problem };
        let (mut splits, mut by_content) = (HashMap::new(), HashMap::new());
        for (number, row) in csv::Reader::from_reader(text.as_bytes()).records().enumerate() {
            let row = row.map_err(|error| unusable(error.to_string()))?;
            let cells: Vec<&str> = row.iter().collect();
            let [name, _, split, bytes] = cells[..] else {
                return Err(unusable(format!("row {} has {} columns", number + 2, cells.len())));
            };
            let bytes = bytes.parse().map_err(|_| {
                unusable(format!("row {}: '{bytes}' is no number of bytes", number + 2))
            })?;
            if let Some(content) = datasets::content_in_name(name) {
                by_content.insert((content.to_string(), bytes), split.to_string());
            }
            splits.insert((name.to_string(), bytes), split.to_string());
        }
        Ok(Some(Self { path, splits, by_content }))
    }

    /// The file that the list was read from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The split that the run has an image in, if it has it.
    pub(crate) fn split(&self, name: &str, bytes: u64) -> Option<&str> {
        let named = self.splits.get(&(name.to_string(), bytes));
        // A row of a Parquet file that was renamed or divided is known by its image.
        let by_content = || {
            let content = datasets::content_in_name(name)?.to_string();
            self.by_content.get(&(content, bytes))
        };
        named.or_else(by_content).map(String::as_str)
    }

    /// The number of images in a split.
    pub(crate) fn count(&self, split: &str) -> usize {
        self.splits.values().filter(|own| *own == split).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("pets");
        for name in ["ant/1.png", "ant/a, \"b\".png", "bee/2.png", "bee/3.png"] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let found = datasets::folder(&root, datasets::Held { fraction: 0.5, seed: 0 }).unwrap();
        let run = RunFolder::create(Some(&place.path().join("run")), "any").unwrap();
        write(&run, &[("train", &*found.train), ("test", &*found.test)]).unwrap();
        let read = ImageList::beside(&run.file("last.safetensors")).unwrap().unwrap();
        assert_eq!((read.count("train"), read.count("test")), (2, 2));
        let (name, bytes) = found.test.file(0).unwrap();
        assert_eq!(read.split(&name, bytes), Some("test"));
        let (name_to_train_on, its_bytes) = found.train.file(0).unwrap();
        assert_eq!(read.split(&name_to_train_on, its_bytes), Some("train"));
        assert_eq!(read.split(&name, bytes + 1), None, "another file of this name");
        assert!(ImageList::beside(&place.path().join("last.safetensors")).unwrap().is_none());
    }

    #[test]
    fn a_damaged_list_is_named() {
        let place = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("image,label,split,bytes\na.png,a,test,many\n", "row 2: 'many' is no number of bytes"),
            ("image,label,split,bytes\na.png,a\n", "images.csv cannot be used"),
        ] {
            std::fs::write(place.path().join(FILE), text).unwrap();
            let error = ImageList::beside(&place.path().join("last.safetensors")).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
