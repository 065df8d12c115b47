//! From what `--data` says to images, and the honest word when it is not what was hoped for.

mod error;
pub(crate) mod fit;
pub(crate) mod left_out;
mod place;
mod spec;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use datasets::{
    Cifar, Found, Held, Joined, ShardIndex, Shards, Source, Split, folder, shards, synthetic,
};

use crate::ranks::World;

pub(crate) use error::Error;
pub(crate) use place::{cache, searched};
pub(crate) use spec::DataSpec;

/// Images of the synthetic sets: enough to learn from in about two minutes.
const SYNTHETIC: (usize, usize) = (10_000, 2_000);
/// The synthetic sets are one thing, whatever the seed of a run is.
const SYNTHETIC_SEED: u64 = 0;

/// What is held back where a set of files has no test set, whatever the seed of a run is: weights are measured later on
/// images that they were not trained on.
const HELD: Held = Held { fraction: 0.2, seed: 0 };

/// What of a data set weights are measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Its test set, or what `train` holds back where it has none.
    Test,
    /// What `train` trains on.
    Train,
    /// Every image.
    All,
}

/// A training and a test set.
#[derive(Clone)]
pub(crate) struct Data {
    /// What `--data` has to say for it, from whatever folder: `cifar10`, `cifar100`, `synthetic`, `folder:DIR` or
    /// `shards:DIR`.
    pub(crate) name: String,
    /// What it is, wherever it lies: that without the folder.
    pub(crate) kind: &'static str,
    /// Where it came from, for people.
    pub(crate) origin: String,
    /// What is trained on.
    pub(crate) train: Arc<dyn Source>,
    /// What is measured on.
    pub(crate) test: Arc<dyn Source>,
    /// Whether the test set was held back from the only one there is.
    pub(crate) held: bool,
    /// Whether something else was hoped for.
    pub(crate) stands_in: bool,
}

impl Data {
    /// Loads both splits of what `spec` asks for. The ranks of `world`, which are asked for the same, find archives
    /// together.
    pub(crate) fn load(spec: &DataSpec, world: &World) -> Result<Self, Error> {
        let data = match spec {
            DataSpec::Shards(root) => Self::of_all_ranks(root, world)?,
            _ => Self::holding(spec, HELD)?,
        };
        if data.held {
            let percent = HELD.fraction * 100.0;
            tracing::info!("no test set there: {percent} % of every class are held back as one");
        }
        Ok(data)
    }

    /// What `spec` asks for, and the images of a part of it.
    pub(crate) fn part(spec: &DataSpec, part: Part) -> Result<(Self, Arc<dyn Source>), Error> {
        let data = match part {
            Part::All => Self::holding(spec, Held { fraction: 0.0, ..HELD })?,
            Part::Test | Part::Train => Self::holding(spec, HELD)?,
        };
        let images = match part {
            Part::Test => Arc::clone(&data.test),
            Part::Train => Arc::clone(&data.train),
            Part::All => Arc::new(Joined::new(Arc::clone(&data.train), Arc::clone(&data.test))),
        };
        Ok((data, images))
    }

    /// Both splits, with `held` of a set that has no test set as one.
    fn holding(spec: &DataSpec, held: Held) -> Result<Self, Error> {
        match spec {
            DataSpec::Synthetic => Self::synthetic(false),
            DataSpec::Folder(root) => {
                let root = there("folder", root)?;
                Ok(Self::files("folder", &root, folder(&root, held)?))
            }
            DataSpec::Shards(root) => {
                let root = there("shards", root)?;
                Ok(Self::files("shards", &root, shards(&root, held)?))
            }
            DataSpec::Cifar(set, Some(folder)) => Self::cifar(*set, folder.clone()),
            DataSpec::Cifar(set, None) => match place::find(*set) {
                Some(folder) => Self::cifar(*set, folder),
                None => Err(Error::NotFound { set: *set, searched: searched(*set) }),
            },
            DataSpec::Auto => match place::find(Cifar::Cifar10) {
                Some(folder) => Self::cifar(Cifar::Cifar10, folder),
                None => Self::synthetic(true),
            },
        }
    }

    /// The archives in `root`, of which each rank goes through its share.
    fn of_all_ranks(root: &Path, world: &World) -> Result<Self, Error> {
        let root = there("shards", root)?;
        let shards = Shards::list(&root)?;
        let listing = || Ok(shards.listing()?);
        world.check_against_rank_0("archives", listing, |own, of_rank_0| {
            if own == of_rank_0 {
                return Ok(());
            }
            let lines = of_rank_0.lines().zip(own.lines());
            let first = lines.into_iter().find(|(there, here)| there != here);
            let root = root.clone();
            Err(match first {
                Some((there, here)) => {
                    let (there, here) = (there.to_string(), here.to_string());
                    Error::OtherArchive { root, there, here }
                }
                None => {
                    let (there, here) = (of_rank_0.lines().count(), own.lines().count());
                    Error::OtherArchiveCount { root, there, here }
                }
            })
        })?;
        let index = shards.index(world.share())?;
        let index = ShardIndex::joined(world.gather("the index of archives", index)?);
        Ok(Self::files("shards", &root, shards.found(index, HELD)?))
    }

    /// The names of the classes, in the order of the labels.
    pub(crate) fn class_names(&self) -> &[String] {
        self.train.class_names()
    }

    fn cifar(set: Cifar, folder: PathBuf) -> Result<Self, Error> {
        Ok(Self {
            name: set.name().to_string(),
            kind: set.name(),
            train: Arc::new(set.load(&folder, Split::Train)?),
            test: Arc::new(set.load(&folder, Split::Test)?),
            origin: folder.display().to_string(),
            held: false,
            stands_in: false,
        })
    }

    fn synthetic(stands_in: bool) -> Result<Self, Error> {
        let draw = |split, count| -> Result<Arc<dyn Source>, datasets::Error> {
            let side = datasets::cifar::SIDE;
            Ok(Arc::new(synthetic::images(split, count, side, SYNTHETIC_SEED)?))
        };
        Ok(Self {
            name: "synthetic".to_string(),
            kind: "synthetic",
            origin: "drawn by this program".to_string(),
            train: draw(Split::Train, SYNTHETIC.0)?,
            test: draw(Split::Test, SYNTHETIC.1)?,
            held: false,
            stands_in,
        })
    }

    /// A set of files that were found under `root`.
    fn files(kind: &'static str, root: &Path, found: Found) -> Self {
        let Found { train, test, held, ignored } = found;
        if ignored > 0 {
            tracing::info!("{ignored} files are no images by their names, and are passed over");
        }
        Self {
            name: format!("{kind}:{}", root.display()),
            kind,
            origin: format!("{} classes", train.class_names().len()),
            train,
            test,
            held,
            stands_in: false,
        }
    }

    /// What a run's folder is called after: `pets` of `folder:/home/somebody/pets`.
    pub(crate) fn short_name(&self) -> &str {
        Path::new(&self.name).file_name().and_then(|name| name.to_str()).unwrap_or(self.kind)
    }

    /// Whether images are read when their turn comes.
    pub(crate) fn is_files(&self) -> bool {
        self.train.size().is_none()
    }
}

/// A folder of files, by its full path.
fn there(kind: &'static str, root: &Path) -> Result<PathBuf, Error> {
    let refused = |reason| Error::NoFolder { kind, root: root.to_path_buf(), reason };
    root.canonicalize().map_err(refused)
}

/// What nobody may overlook: the images are not CIFAR-10.
pub(crate) fn stand_in_banner() -> String {
    let lines = [
        "CIFAR-10 WAS NOT FOUND: training on the SYNTHETIC set instead.",
        "",
        "Ten classes of drawn shapes, 10,000 images. Every figure of this run is about",
        "them and says nothing about CIFAR-10. For the real images, one of:",
        "",
        "  cargo xtask fetch cifar10",
        "  cargo xtask fetch cifar10 --from PATH_OR_URL    (an archive or a mirror)",
    ];
    let width = lines.iter().map(|line| line.len()).max().unwrap_or(0) + 4;
    let edge = "#".repeat(width + 2);
    let body: Vec<String> =
        lines.iter().map(|line| format!("#  {line:<rest$}#", rest = width - 2)).collect();
    format!("{edge}\n{}\n{edge}", body.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_is_a_box_with_the_cure_in_it() {
        let banner = stand_in_banner();
        let widths: Vec<usize> = banner.lines().map(str::len).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{banner}");
        assert!(
            banner.contains("SYNTHETIC") && banner.contains("cargo xtask fetch cifar10 --from"),
            "{banner}"
        );
    }

    #[test]
    fn synthetic_data_says_so() {
        let data = Data::load(&DataSpec::Synthetic, &World::single()).unwrap();
        assert_eq!(
            (data.name.as_str(), data.train.len(), data.test.len(), data.stands_in),
            ("synthetic", 10_000, 2_000, false)
        );
        assert_eq!(data.class_names().len(), 10);
    }
}
