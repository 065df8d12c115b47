//! Images in tar archives, as webdataset writes them: few large files instead of many small ones.

use std::borrow::Cow;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tar::Archive;

use super::archives::Archives;
use super::names::Names;
use super::{Found, Held, ImageFiles, Places, is_image};
use crate::decode::LARGEST_FILE;
use crate::random::permutation;
use crate::regular_file;
use crate::{Error, Share};

/// The longest file of a label, in bytes: its digits and white space around them.
const LONGEST_LABEL: u64 = 64;

/// An image in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sample {
    name: String,
    label: u32,
    place: (u32, u64, u32),
}

/// The archives of images in a folder.
#[derive(Debug)]
pub struct Shards {
    root: PathBuf,
    /// Those of the training set, then those of the test set, if it has any.
    archives: Vec<PathBuf>,
    /// Number of archives of the training set.
    training: usize,
}

/// The images in some of the [`Shards`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardIndex {
    samples: Vec<Sample>,
    ignored: usize,
}

/// The images in the archives `root/train*.tar` and `root/val*.tar` (or `test*.tar`). Without both of them all
/// `root/*.tar` are one set, and `held` of its images become the test set.
///
/// A sample is an image, `KEY.jpg` (or `.jpeg`, `.png`, `.webp`, `.bmp`), next to its label, a number in `KEY.cls`. The
/// lines of `root/classes.txt` name the classes; without it their numbers do. Only headers and labels are read here;
/// images are read later, at their places in the archives.
///
/// # Errors
/// An archive that cannot be read, a sample without a label, a label without a name, or no sample at all.
pub fn shards(root: &Path, held: Held) -> Result<Found, Error> {
    let shards = Shards::list(root)?;
    let index = shards.index(Share::WHOLE)?;
    shards.found(index, held)
}

impl Shards {
    /// Lists the archives in `root` without opening them.
    ///
    /// # Errors
    /// A folder that cannot be read, or that holds no archive.
    pub fn list(root: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { file: root.to_path_buf(), source };
        let mut archives = Vec::new();
        for entry in fs::read_dir(root).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|ending| ending == "tar") {
                archives.push(path);
            }
        }
        archives.sort_unstable();
        let starting = |start: &str| {
            archives.iter().filter(|path| file_name(path).starts_with(start)).cloned().collect()
        };
        let (train, test): (Vec<PathBuf>, _) =
            (starting("train"), [starting("val"), starting("test")].concat());
        let held_back = train.is_empty() || test.is_empty();
        let training = if held_back { archives.len() } else { train.len() };
        let archives = if held_back { archives } else { [train, test].concat() };
        if archives.is_empty() {
            return Err(Error::NoShards { folder: root.into() });
        }
        Ok(Self { root: root.to_path_buf(), archives, training })
    }

    /// The name and length of each archive on a line: equal for copies of one set.
    ///
    /// # Errors
    /// An archive that is missing.
    pub fn listing(&self) -> Result<String, Error> {
        let line = |path: &PathBuf| {
            let unreadable = |source| Error::Unreadable { file: path.clone(), source };
            Ok(format!("{} {}\n", file_name(path), fs::metadata(path).map_err(unreadable)?.len()))
        };
        self.archives.iter().map(line).collect()
    }

    /// Indexes the archives of `share` without opening the others.
    ///
    /// # Errors
    /// An archive that cannot be read, or a sample without a label.
    ///
    /// # Panics
    /// A share whose rank is not below its world size.
    pub fn index(&self, share: Share) -> Result<ShardIndex, Error> {
        let mut index = ShardIndex::default();
        for number in share.of(&(0..self.archives.len())) {
            index.add(number as u32, &self.archives[number])?;
        }
        Ok(index)
    }

    /// The training and the test set, from the `index` of all archives.
    ///
    /// # Errors
    /// A label without a name, no sample at all, or a fraction out of range.
    pub fn found(self, index: ShardIndex, held: Held) -> Result<Found, Error> {
        let Self { root, archives, training } = self;
        let ShardIndex { samples, ignored } = index;
        let some = |samples: Vec<Sample>| {
            if samples.is_empty() {
                return Err(Error::NoShards { folder: root.clone() });
            }
            Ok(samples)
        };
        check_labels(&root, &samples)?;
        let held_back = training == archives.len();
        let (train, test) = if held_back {
            split(some(samples)?, held)?
        } else {
            let trains = |sample: &Sample| (sample.place.0 as usize) < training;
            let (train, test) = samples.into_iter().partition(trains);
            (some(train)?, some(test)?)
        };
        let classes = classes(&root, train.iter().chain(&test))?;
        let archives = Arc::new(Archives::new(archives));
        let set = |samples: Vec<Sample>| {
            Arc::new(ImageFiles {
                root: root.clone(),
                names: samples.iter().map(|sample| sample.name.as_str()).collect::<Names>(),
                labels: samples.iter().map(|sample| sample.label).collect(),
                class_names: Arc::clone(&classes),
                places: Places::Archives {
                    archives: Arc::clone(&archives),
                    places: samples.iter().map(|sample| sample.place).collect(),
                },
            })
        };
        let (train, test) = (set(train), set(test));
        Ok(Found { train, test, held: held_back && held.fraction > 0., ignored })
    }
}

impl ShardIndex {
    /// Joins the indices of all shares, in the order of the shares.
    #[must_use]
    pub fn joined(parts: Vec<Self>) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.samples.extend(part.samples);
            all.ignored += part.ignored;
        }
        all
    }

    /// Adds the samples of archive `number`, the file `path`.
    fn add(&mut self, number: u32, path: &Path) -> Result<(), Error> {
        let unreadable = |source| Error::Unreadable { file: path.to_path_buf(), source };
        let problem = |problem: String| Error::Shard { file: path.to_path_buf(), problem };
        let mut archive = Archive::new(regular_file::open(path).map_err(unreadable)?);
        // The key, image and label of the current sample.
        let mut key = String::new();
        let mut image: Option<(String, u64, u32)> = None;
        let mut label: Option<u32> = None;
        let short = file_name(path);
        let samples = &mut self.samples;
        let mut finish =
            |key: &str, image: Option<(String, u64, u32)>, label: Option<u32>| match (image, label)
            {
                (Some((name, offset, length)), Some(label)) => {
                    let place = (number, offset, length);
                    samples.push(Sample { name: format!("{short}/{name}"), label, place });
                    Ok(())
                }
                (Some(_), None) => {
                    Err(problem(format!("{key} has an image but no label ({key}.cls)")))
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
                finish(&key, image.take(), label.take())?;
                key = own.to_string();
            }
            if is_image(&name) {
                let (offset, length) = (entry.raw_file_position(), entry.size());
                if length > LARGEST_FILE {
                    return Err(problem(format!(
                        "{name} has {length} bytes, more than the 256 MiB of an image file"
                    )));
                }
                image = Some((name, offset, length as u32));
            } else if ending == "cls" {
                let mut text = String::new();
                let read = (&mut entry).take(LONGEST_LABEL).read_to_string(&mut text);
                read.map_err(unreadable)?;
                let number = text.trim().parse();
                label =
                    Some(number.map_err(|_| problem(format!("{name} is not a label: {text:?}")))?);
            } else {
                self.ignored += 1;
            }
        }
        finish(&key, image, label)?;
        Ok(())
    }
}

fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// The list of class names in `root`.
fn class_list(root: &Path) -> PathBuf {
    root.join("classes.txt")
}

/// Refuses a label above the number of images, unless a list names the classes: memory is taken for every class.
fn check_labels(root: &Path, samples: &[Sample]) -> Result<(), Error> {
    let beyond = samples.iter().find(|sample| sample.label as usize >= samples.len());
    match beyond.filter(|_| !class_list(root).exists()) {
        Some(Sample { name, label, .. }) => {
            Err(Error::LabelBeyond { name: name.clone(), label: *label, images: samples.len() })
        }
        None => Ok(()),
    }
}

/// Splits every class at random.
fn split(samples: Vec<Sample>, held: Held) -> Result<(Vec<Sample>, Vec<Sample>), Error> {
    held.check()?;
    let classes =
        samples.iter().map(|sample| sample.label).max().map_or(0, |label| label as usize + 1);
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
    let file = class_list(root);
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
