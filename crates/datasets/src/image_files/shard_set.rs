//! Images in tar archives, as webdataset writes them: few large files instead of many small ones.

mod labels;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tar::Archive;

use self::labels::{Labels, Members};
use super::archives::Archives;
use super::long_name::LongName;
use super::names::Names;
use super::role::Role;
use super::{Found, Held, ImageFiles, Places, Skipped};
use crate::decode::LARGEST_FILE;
use crate::image_endings::is_image;
use crate::regular_file;
use crate::{Error, Share};

/// An image in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sample {
    name: String,
    labels: Labels,
    place: (u32, u64, u32),
}

/// The archives of images in a folder.
#[derive(Debug)]
pub struct Shards {
    root: PathBuf,
    /// Those of the training set, then of the validation set, then of the test set.
    archives: Vec<PathBuf>,
    /// Number of archives of each of these; of the training set alone where all archives are one set.
    counts: [usize; 3],
}

/// The images in some of the [`Shards`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardIndex {
    samples: Vec<Sample>,
    skipped: Skipped,
}

/// The images in the archives of `root` whose names have the word `train`, `val` or `test`, whatever the case and the
/// common spelling of these three, such as `train-0001.tar`. Without those to train on, or without any others, all
/// `root/*.tar` are one set, and `held` of its images become the test set.
///
/// A sample is an image, `KEY.jpg` (or `.jpeg`, `.png`, `.webp`, `.bmp`), next to its label, a number in `KEY.cls`. The
/// lines of `root/classes.txt` name the classes; without it their numbers do. Only headers and labels are read here;
/// images are read later, at their places in the archives.
///
/// A list in a `KEY.cls`, `3,17` or `[3, 17]`, makes a multi-label set, and so does one in a `KEY.json` without a
/// `KEY.cls`: `[3, 17]` or `{"labels": [3, 17]}`. Then `[]` is an image of no class, and `held` of all images are held back
/// rather than of every class.
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
        let of = |role: Role| -> Vec<PathBuf> {
            archives
                .iter()
                .filter(|path| Role::within(&file_name(path)) == Some(role))
                .cloned()
                .collect()
        };
        let [train, validation, test] = Role::ALL.map(of);
        let is_one_set = train.is_empty() || (validation.is_empty() && test.is_empty());
        let counts = match is_one_set {
            true => [archives.len(), 0, 0],
            false => [train.len(), validation.len(), test.len()],
        };
        let archives = if is_one_set { archives } else { [train, validation, test].concat() };
        if archives.is_empty() {
            return Err(Error::NoShards { folder: root.into() });
        }
        Ok(Self { root: root.to_path_buf(), archives, counts })
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
        let Self { root, archives, counts } = self;
        let ShardIndex { samples, skipped } = index;
        let some = |samples: Vec<Sample>| {
            if samples.is_empty() {
                return Err(Error::NoShards { folder: root.clone() });
            }
            Ok(samples)
        };
        check_labels(&root, &samples)?;
        let held_back = counts[0] == archives.len();
        let classes = classes(&root, &samples)?;
        let are_several = samples.iter().any(|sample| sample.labels.is_list());
        let (train, validation, test) = if held_back {
            let (train, test) = split(some(samples)?, are_several, held)?;
            (train, Vec::new(), test)
        } else {
            let archive = |sample: &Sample| sample.place.0 as usize;
            let (train, rest): (Vec<_>, Vec<_>) =
                samples.into_iter().partition(|sample| archive(sample) < counts[0]);
            let (validation, test): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|sample| archive(sample) < counts[0] + counts[1]);
            match test.is_empty() {
                true => (some(train)?, Vec::new(), some(validation)?),
                false => (some(train)?, validation, test),
            }
        };
        let archives = Arc::new(Archives::new(archives));
        let set = |samples: Vec<Sample>| {
            Arc::new(ImageFiles {
                root: root.clone(),
                names: samples.iter().map(|sample| sample.name.as_str()).collect::<Names>(),
                labels: samples.iter().map(|sample| sample.labels.first()).collect(),
                label_lists: are_several
                    .then(|| samples.iter().map(|sample| sample.labels.all()).collect()),
                class_names: Arc::clone(&classes),
                places: Places::Archives {
                    archives: Arc::clone(&archives),
                    places: samples.iter().map(|sample| sample.place).collect(),
                },
            })
        };
        let validation = (!validation.is_empty()).then(|| set(validation));
        let (train, test) = (set(train), set(test));
        let held = held_back && held.fraction > 0.;
        Ok(Found { train, validation, test, held, skipped })
    }
}

impl ShardIndex {
    /// Joins the indices of all shares, in the order of the shares.
    #[must_use]
    pub fn joined(parts: Vec<Self>) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.samples.extend(part.samples);
            all.skipped.join(part.skipped);
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
        let mut members = Members::default();
        let short = file_name(path);
        let samples = &mut self.samples;
        let mut finish = |key: &str,
                          image: Option<(String, u64, u32)>,
                          members: Members,
                          skipped: &mut Skipped| {
            let labels = members.finish(key, image.is_some(), skipped).map_err(problem)?;
            if let (Some((name, offset, length)), Some(labels)) = (image, labels) {
                let place = (number, offset, length);
                samples.push(Sample { name: format!("{short}/{name}"), labels, place });
            }
            Ok::<(), Error>(())
        };
        let mut long_name = LongName::default();
        // Raw: the crate would read the extension before an entry into memory, of whatever length it claims to be.
        for entry in archive.entries_with_seek().map_err(unreadable)?.raw(true) {
            let mut entry = entry.map_err(unreadable)?;
            if long_name.take(&mut entry).map_err(unreadable)? {
                continue;
            }
            let long_name = long_name.name.take();
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let short_name = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
            let name = long_name.unwrap_or(short_name);
            let start = name.rfind('/').map_or(0, |slash| slash + 1);
            let Some(dot) = name[start..].find('.') else {
                self.skipped.add(&name);
                continue;
            };
            let (own, ending) = (&name[..start + dot], &name[start + dot + 1..]);
            if own != key {
                finish(&key, image.take(), std::mem::take(&mut members), &mut self.skipped)?;
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
                members.add_cls(&name, &mut entry).map_err(unreadable)?.map_err(problem)?;
            } else if ending == "json" {
                members.add_json(name, &mut entry, &mut self.skipped).map_err(unreadable)?;
            } else {
                self.skipped.add(&name);
            }
        }
        finish(&key, image, members, &mut self.skipped)
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
    let largest = |sample: &Sample| sample.labels.all().iter().max().copied().unwrap_or(0);
    let beyond = samples.iter().find(|sample| largest(sample) as usize >= samples.len());
    match beyond.filter(|_| !class_list(root).exists()) {
        Some(sample) => Err(Error::LabelBeyond {
            name: sample.name.clone(),
            label: largest(sample),
            images: samples.len(),
        }),
        None => Ok(()),
    }
}

/// Splits every class by the names of its images in their archives. A class of one image has none in the test set. Where
/// images have several labels, all images are split as one class.
fn split(
    samples: Vec<Sample>,
    are_several: bool,
    held: Held,
) -> Result<(Vec<Sample>, Vec<Sample>), Error> {
    held.check()?;
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, sample) in samples.iter().enumerate() {
        let class = if are_several { 0 } else { sample.labels.first() };
        members.entry(class).or_default().push(index);
    }
    let mut is_held = vec![false; samples.len()];
    for members in members.values() {
        let name = |&index: &usize| samples[index].name.as_str();
        let in_archive = |name: &'_ str| name.find('/').map_or(0, |slash| slash + 1);
        let names = members.iter().map(name).map(|name| &name[in_archive(name)..]);
        for (&index, held) in members.iter().zip(held.among(names)) {
            is_held[index] = held;
        }
    }
    let mut is_held = is_held.into_iter();
    Ok(samples.into_iter().partition(|_| !is_held.next().expect("one for each")))
}

fn classes(root: &Path, samples: &[Sample]) -> Result<Arc<[String]>, Error> {
    let largest = samples.iter().flat_map(|sample| sample.labels.all()).max().copied().unwrap_or(0);
    let file = class_list(root);
    if !file.exists() {
        return Ok((0..=largest).map(|label| label.to_string()).collect());
    }
    let text = regular_file::open(&file)
        .and_then(io::read_to_string)
        .map_err(|source| Error::Unreadable { file, source })?;
    let names: Arc<[String]> =
        without_mark(&text).lines().map(|line| line.trim().to_string()).collect();
    if largest as usize >= names.len() {
        return Err(Error::ClassWithoutName {
            label: largest,
            names: names.len(),
            root: root.into(),
        });
    }
    Ok(names)
}

/// `text` without the byte-order mark that Windows programs begin a file with.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
