//! CIFAR-10 and CIFAR-100 in their binary versions.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::artefact::{Artefact, Size};
use super::extract::{Wanted, tar};
use super::install::{self, State, install};
use super::lock::Lock;
use super::source::{Context, Source};
use crate::failure::{Failure, integrity};

/// A data set: its archive, and the files in it.
#[derive(Clone, Copy, Debug)]
pub struct DataSet<'a> {
    /// As on the command line.
    pub name: &'a str,
    /// The archive's only folder, and the folder in the cache.
    pub folder: &'a str,
    /// The official archive.
    pub archive: Artefact<'a>,
    /// The files that it may hold.
    pub files: &'a [Wanted<'a>],
}

const fn images(path: &'static str, bytes: u64, sha256: &'static str) -> Wanted<'static> {
    Wanted { path, size: Size::Exactly(bytes), sha256: Some(sha256), required: true }
}

const fn text(path: &'static str) -> Wanted<'static> {
    Wanted { path, size: Size::AtMost(4096), sha256: None, required: false }
}

/// The 60,000 images of CIFAR-10.
pub const CIFAR10: DataSet<'static> = DataSet {
    name: "cifar10",
    folder: "cifar-10-batches-bin",
    archive: Artefact {
        name: "cifar-10-binary.tar.gz",
        url: Some("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"),
        size: Size::Exactly(170_052_171),
        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    },
    files: &[
        images(
            "data_batch_1.bin",
            30_730_000,
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        ),
        images(
            "data_batch_2.bin",
            30_730_000,
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        ),
        images(
            "data_batch_3.bin",
            30_730_000,
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        ),
        images(
            "data_batch_4.bin",
            30_730_000,
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        ),
        images(
            "data_batch_5.bin",
            30_730_000,
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        ),
        images(
            "test_batch.bin",
            30_730_000,
            "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        ),
        text("batches.meta.txt"),
        text("readme.html"),
    ],
};

/// The 60,000 images of CIFAR-100.
pub const CIFAR100: DataSet<'static> = DataSet {
    name: "cifar100",
    folder: "cifar-100-binary",
    archive: Artefact {
        name: "cifar-100-binary.tar.gz",
        url: Some("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"),
        size: Size::Exactly(168_513_733),
        sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    },
    files: &[
        images(
            "train.bin",
            153_700_000,
            "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
        ),
        images(
            "test.bin",
            30_740_000,
            "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
        ),
        text("coarse_label_names.txt"),
        text("fine_label_names.txt"),
    ],
};

/// Puts a data set into the cache, unless it is there, and returns its folder.
///
/// # Errors
///
/// When it cannot be fetched, or has the wrong content; the message says what to do.
pub fn fetch(set: &DataSet<'_>, context: &Context) -> Result<PathBuf> {
    let target = context.cache.root().join(set.folder);
    if is_there(set, &target)? {
        return Ok(target);
    }
    let _lock = Lock::acquire(&context.cache, set.name)?;
    if is_there(set, &target)? {
        return Ok(target);
    }
    let obtained = context.obtain(&set.archive).map_err(|err| with_cure(err, set, context))?;
    let archive = obtained.ok_or_else(|| missing(set, context))?;
    let contents =
        tar::Contents { folder: set.folder, files: set.files, official: archive.official };
    let archives = [archive];
    let archive = &archives[0];
    install(&target, &archives, |into| {
        let file = std::fs::File::open(&archive.path)
            .with_context(|| format!("cannot read {}", archive.path.display()))?;
        tar::extract(file, &contents, into).with_context(|| archive.origin.clone())
    })?;
    eprintln!("{} is ready in {}", set.name, target.display());
    Ok(target)
}

/// Whether the data set is in the cache; says so, or why it is fetched again.
fn is_there(set: &DataSet<'_>, target: &std::path::Path) -> Result<bool> {
    match install::state(target) {
        State::Absent => Ok(false),
        State::Whole => {
            eprintln!("{} is there already, in {}", set.name, target.display());
            Ok(true)
        }
        State::Damaged(why) => {
            eprintln!("{} is damaged ({why}), fetching it again", target.display());
            Ok(false)
        }
        State::Foreign => install::refuse_foreign(target).map(|()| false),
    }
}

fn missing(set: &DataSet<'_>, context: &Context) -> anyhow::Error {
    let (name, file) = (set.name, set.archive.name);
    integrity(match &context.source {
        Source::Official => format!(
            "{name} is not in {} and --offline forbids the network: run `cargo xtask fetch {name}` \
             online, or give a copy of {file} with --from PATH",
            context.cache.root().display()
        ),
        Source::Folder(path) => format!("there is no {file} in {}", path.display()),
        Source::File(path) => format!("{} is not {file}", path.display()),
        Source::Url(url) => format!("there is no {file} at {url}"),
    })
}

/// Adds the cure to a failure of the official site.
fn with_cure(err: anyhow::Error, set: &DataSet<'_>, context: &Context) -> anyhow::Error {
    if context.source != Source::Official || err.downcast_ref::<Failure>().is_none() {
        return err;
    }
    integrity(format!("{err:#}; a copy of {} is taken with --from PATH_OR_URL", set.archive.name))
}
