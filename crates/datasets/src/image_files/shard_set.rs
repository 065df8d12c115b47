//! Pictures in tar archives, as webdataset writes them: few large files in place of many small ones.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::Archive;

use super::names::Names;
use super::{Found, Held, ImageFiles, Places, is_picture};
use crate::Error;
use crate::decode::LARGEST_FILE;
use crate::random::permutation;

/// Digits of a label, and what may stand around them.
const LONGEST_LABEL: u64 = 64;

/// A picture in an archive.
struct Sample {
    name: String,
    label: u32,
    place: (u32, u64, u32),
}

/// Finds the archives `root/train*.tar` and `root/val*.tar` (or `test*.tar`), or without those all `root/*.tar`, of which
/// `held` is held back. A sample is a picture, `KEY.jpg` (or `.jpeg`, `.png`, `.webp`, `.bmp`), and its label, a number in
/// `KEY.cls`, side by side. The names of the classes are the lines of `root/classes.txt`, or else their numbers.
///
/// The archives are gone through once, header by header; pictures are read where they lie.
///
/// # Errors
/// An archive that cannot be read, a sample that lacks its label, a label without a name, no sample at all.
pub fn shards(root: &Path, held: Held) -> Result<Found, Error> {
    let archives = archives(root)?;
    let starting = |start: &str| -> Vec<&PathBuf> {
        let is_part = |path: &&PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
        };
        archives.iter().filter(is_part).collect()
    };
    let (train, test) = (starting("train"), [starting("val"), starting("test")].concat());
    let mut reader = Reader { root, files: Vec::new(), ignored: 0 };
    let held_back = train.is_empty() || test.is_empty();
    let (train, test) = match held_back {
        false => (reader.samples(&train)?, reader.samples(&test)?),
        true => split(reader.samples(&archives.iter().collect::<Vec<_>>())?, held)?,
    };
    let classes = classes(root, train.iter().chain(&test))?;
    let files: Arc<[File]> = reader.files.into();
    let set = |samples: Vec<Sample>| {
        Arc::new(ImageFiles {
            root: root.to_path_buf(),
            names: samples.iter().map(|sample| sample.name.as_str()).collect::<Names>(),
            labels: samples.iter().map(|sample| sample.label).collect(),
            class_names: Arc::clone(&classes),
            places: Places::Archives {
                files: Arc::clone(&files),
                places: samples.iter().map(|sample| sample.place).collect(),
            },
        })
    };
    let (train, test) = (set(train), set(test));
    Ok(Found { train, test, held: held_back && held.fraction > 0., ignored: reader.ignored })
}

fn archives(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Unreadable { file: root.to_path_buf(), source };
    let mut archives = Vec::new();
    for entry in fs::read_dir(root).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "tar") {
            archives.push(path);
        }
    }
    archives.sort_unstable();
    if archives.is_empty() { Err(Error::NoShards { folder: root.into() }) } else { Ok(archives) }
}

struct Reader<'a> {
    root: &'a Path,
    files: Vec<File>,
    ignored: usize,
}

impl Reader<'_> {
    fn samples(&mut self, archives: &[&PathBuf]) -> Result<Vec<Sample>, Error> {
        let mut samples = Vec::new();
        for path in archives {
            self.archive(path, &mut samples)?;
        }
        if samples.is_empty() {
            return Err(Error::NoShards { folder: self.root.into() });
        }
        Ok(samples)
    }

    fn archive(&mut self, path: &Path, samples: &mut Vec<Sample>) -> Result<(), Error> {
        let unreadable = |source| Error::Unreadable { file: path.to_path_buf(), source };
        let problem = |problem: String| Error::Shard { file: path.to_path_buf(), problem };
        let number = self.files.len() as u32;
        let mut archive = Archive::new(File::open(path).map_err(unreadable)?);
        // Of the sample that is being read: its key, its picture and its label.
        let mut key = String::new();
        let mut picture: Option<(String, u64, u32)> = None;
        let mut label: Option<u32> = None;
        let short = path.file_name().unwrap_or_default().to_string_lossy();
        let mut finish = |key: &str, picture: Option<(String, u64, u32)>, label: Option<u32>| match (
            picture, label,
        ) {
            (Some((name, offset, length)), Some(label)) => {
                let place = (number, offset, length);
                samples.push(Sample { name: format!("{short}/{name}"), label, place });
                Ok(())
            }
            (Some(_), None) => {
                Err(problem(format!("{key} has a picture and no label ({key}.cls)")))
            }
            (None, _) => Ok(()),
        };
        for entry in archive.entries_with_seek().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
            let start = name.rfind('/').map_or(0, |slash| slash + 1);
            let Some(dot) = name[start..].find('.') else {
                self.ignored += 1;
                continue;
            };
            let (own, ending) = (&name[..start + dot], &name[start + dot + 1..]);
            if own != key {
                finish(&key, picture.take(), label.take())?;
                key = own.to_string();
            }
            if is_picture(&name) {
                let (offset, length) = (entry.raw_file_position(), entry.size());
                if length > LARGEST_FILE {
                    return Err(problem(format!(
                        "{name} has {length} bytes, more than a picture may"
                    )));
                }
                picture = Some((name, offset, length as u32));
            } else if ending == "cls" {
                let mut text = String::new();
                let read = (&mut entry).take(LONGEST_LABEL).read_to_string(&mut text);
                read.map_err(unreadable)?;
                let number = text.trim().parse();
                label = Some(number.map_err(|_| problem(format!("{name} is no label: {text:?}")))?);
            } else {
                self.ignored += 1;
            }
        }
        finish(&key, picture, label)?;
        self.files.push(File::open(path).map_err(unreadable)?);
        Ok(())
    }
}

/// A part of every class by chance.
fn split(samples: Vec<Sample>, held: Held) -> Result<(Vec<Sample>, Vec<Sample>), Error> {
    held.check()?;
    let classes =
        samples.iter().map(|sample| sample.label).max().map_or(0, |label| label as usize + 1);
    if classes > samples.len() {
        return Err(Error::LabelBeyond { label: classes as u32 - 1, pictures: samples.len() });
    }
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); classes];
    for (index, sample) in samples.iter().enumerate() {
        members[sample.label as usize].push(index);
    }
    let mut is_held = vec![false; samples.len()];
    for (number, members) in (0..).zip(&members) {
        let count = (members.len() as f64 * held.fraction).round() as usize;
        let order = permutation(members.len() as u32, held.seed, number);
        order.iter().take(count).for_each(|&index| is_held[members[index as usize]] = true);
    }
    let mut is_held = is_held.into_iter();
    Ok(samples.into_iter().partition(|_| !is_held.next().expect("one for each")))
}

fn classes<'a>(
    root: &Path,
    samples: impl Iterator<Item = &'a Sample>,
) -> Result<Arc<[String]>, Error> {
    let largest = samples.map(|sample| sample.label).max().unwrap_or(0);
    let file = root.join("classes.txt");
    if !file.exists() {
        return Ok((0..=largest).map(|label| label.to_string()).collect());
    }
    let text = fs::read_to_string(&file).map_err(|source| Error::Unreadable { file, source })?;
    let names: Arc<[String]> = text.lines().map(|line| line.trim().to_string()).collect();
    if largest as usize >= names.len() {
        return Err(Error::ClassWithoutName {
            label: largest,
            names: names.len(),
            root: root.into(),
        });
    }
    Ok(names)
}
