//! Finds and loads the data set that `--data` names, and warns where another one stands in for it.

mod error;
mod image_size;
mod in_memory;
mod place;
pub(crate) mod resize;
mod spec;
mod table_columns;
mod training_part;
pub(crate) mod unreadable_images;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use datasets::{
    Cifar, Found, Held, Joined, LayoutError, ShardIndex, Shards, Source, folder, parquet, shards,
    table,
};

use crate::ranks::World;

pub(crate) use error::Error;
pub(crate) use image_size::typical_side;
pub(crate) use place::{cache, searched};
pub(crate) use spec::DataSpec;

/// The part that is held back where a set of files has no test set. It does not depend on the seed of a run, so weights
/// can be measured later on images that they were not trained on.
const HELD: Held = Held { fraction: 0.2, seed: 0 };

/// The part of a data set on which weights are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Its test set, or the part that `train` holds back where it has none. Of a run's own images, those of its list.
    Test,
    /// The part that `train` trains on.
    Train,
    /// Its validation set, by which the best epoch is chosen, where it has both that and a test set.
    #[value(name = "val", alias = "validation")]
    Validation,
    /// Every image.
    All,
}

/// A training and a test set.
#[derive(Clone)]
pub(crate) struct Data {
    /// The value of `--data` that names it from any folder: `cifar10`, `cifar100`, `synthetic`,
    /// `synthetic-multi`, `folder:DIR`, `csv:FILE`, `parquet:DIR` or `shards:DIR`.
    pub(crate) name: String,
    /// The name without the folder.
    pub(crate) kind: &'static str,
    /// Its folder or another source, for messages.
    pub(crate) origin: String,
    /// The training set.
    pub(crate) train: Arc<dyn Source>,
    /// The set by which the best epoch is chosen, where that is not the test set.
    pub(crate) validation: Option<Arc<dyn Source>>,
    /// The test set.
    pub(crate) test: Arc<dyn Source>,
    /// Whether the test set was held back from the training set.
    pub(crate) held: bool,
    /// The files that are in no part, in sentences.
    pub(crate) skipped: Vec<String>,
    /// Whether it stands in for a set that was not found.
    pub(crate) stands_in: bool,
}

impl Data {
    /// Loads the training and the test set that `spec` names. The ranks of `world`, which call this with the same
    /// `spec`, index archives together.
    pub(crate) fn load(spec: &DataSpec, world: &World) -> Result<Self, Error> {
        let data = match spec {
            DataSpec::Shards(root) => Self::of_all_ranks(root, world)?,
            _ => Self::holding(spec, HELD)?,
        };
        if data.held {
            let percent = HELD.fraction * 100.0;
            // An image of several classes cannot be held back of one.
            let whole = if data.train.is_multi_label() { "all images" } else { "every class" };
            tracing::info!(
                "no test set there: about {percent} % of {whole} are held back as one, by a hash of their names"
            );
        }
        if let Some(validation) = &data.validation {
            tracing::info!(
                "the best epoch is chosen on the validation set ({} images), and the test set ({}) is measured at the end",
                validation.len(),
                data.test.len()
            );
        }
        Ok(data)
    }

    /// Loads the set that `spec` names, and returns the images of a part of it beside it.
    pub(crate) fn part(spec: &DataSpec, part: Part) -> Result<(Self, Arc<dyn Source>), Error> {
        let data = match part {
            Part::All => Self::holding(spec, Held { fraction: 0.0, ..HELD })?,
            Part::Test | Part::Train | Part::Validation => Self::holding(spec, HELD)?,
        };
        let images = match part {
            Part::Test => Arc::clone(&data.test),
            Part::Train => Arc::clone(&data.train),
            Part::Validation => match &data.validation {
                Some(images) => Arc::clone(images),
                None => return Err(Error::NoValidation { data: data.name }),
            },
            Part::All => data.all(),
        };
        Ok((data, images))
    }

    /// Loads the set that `spec` names to look at it. Where a class has too few images to hold one back, nothing is held back,
    /// and that is returned as a remark.
    pub(crate) fn to_check(spec: &DataSpec) -> Result<(Self, Option<String>), Error> {
        match Self::holding(spec, HELD) {
            Err(Error::Datasets(datasets::Error::Layout(error)))
                if matches!(*error, LayoutError::OneImage { .. }) =>
            {
                Ok((Self::holding(spec, Held { fraction: 0.0, ..HELD })?, Some(error.to_string())))
            }
            loaded => Ok((loaded?, None)),
        }
    }

    /// Loads both sets. Where there is no test set, `held` of the training set becomes one.
    fn holding(spec: &DataSpec, held: Held) -> Result<Self, Error> {
        match spec {
            DataSpec::Synthetic => Self::synthetic(false),
            DataSpec::SyntheticMulti => Self::synthetic_multi(),
            DataSpec::Folder(root) => {
                let root = full_path("folder", root)?;
                Ok(Self::files("folder", &root, folder(&root, held)?))
            }
            DataSpec::Shards(root) => {
                let root = full_path("shards", root)?;
                Ok(Self::files("shards", &root, shards(&root, held)?))
            }
            DataSpec::Csv(file, columns) => {
                let file = full_path("csv", file)?;
                let mut data = Self::files("csv", &file, table(&file, columns, held)?);
                data.name += &table_columns::text(columns);
                Ok(data)
            }
            DataSpec::Parquet(path, columns) => {
                let path = full_path("parquet", path)?;
                let spool = std::env::temp_dir();
                tracing::info!(
                    "the images of parquet:{} are copied into a temporary file in {} (TMPDIR says where)",
                    path.display(),
                    spool.display()
                );
                let mut data =
                    Self::files("parquet", &path, parquet(&path, columns, held, &spool)?);
                data.name += &table_columns::text(columns);
                Ok(data)
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

    /// The archives in `root`, of which each rank indexes its share.
    fn of_all_ranks(root: &Path, world: &World) -> Result<Self, Error> {
        let root = full_path("shards", root)?;
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

    /// The set that is measured after every epoch, by which the best one is chosen.
    pub(crate) fn measured(&self) -> &Arc<dyn Source> {
        self.validation.as_ref().unwrap_or(&self.test)
    }

    /// The parts with their names in a list of images.
    pub(crate) fn parts(&self) -> Vec<(&'static str, &dyn Source)> {
        let validation = self.validation.iter().map(|images| ("val", &**images));
        let train = std::iter::once(("train", &*self.train));
        train.chain(validation).chain([("test", &*self.test)]).collect()
    }

    /// The images of all parts.
    fn all(&self) -> Arc<dyn Source> {
        let rest = [self.validation.as_ref(), Some(&self.test)].into_iter().flatten();
        rest.fold(Arc::clone(&self.train), |all, part| Arc::new(Joined::new(all, Arc::clone(part))))
    }

    /// The names of the classes, in the order of the labels.
    pub(crate) fn class_names(&self) -> &[String] {
        self.train.class_names()
    }

    /// A set of files that were found under `root`.
    fn files(kind: &'static str, root: &Path, found: Found) -> Self {
        let Found { train, validation, test, held, skipped } = found;
        let skipped = skipped.sentences();
        skipped.iter().for_each(|sentence| tracing::info!("{sentence}"));
        Self {
            name: format!("{kind}:{}", root.display()),
            kind,
            origin: format!("{} classes", train.class_names().len()),
            train,
            validation: validation.map(|images| images as Arc<dyn Source>),
            test,
            held,
            skipped,
            stands_in: false,
        }
    }

    /// A short name for the folder of a run: `pets` for `folder:/home/somebody/pets` and `csv:pets.csv?label=kind`.
    pub(crate) fn short_name(&self) -> &str {
        let name = match self.kind {
            "csv" | "parquet" => {
                Path::new(self.name.split('?').next().unwrap_or_default()).file_stem()
            }
            _ => Path::new(&self.name).file_name(),
        };
        name.and_then(|name| name.to_str()).unwrap_or(self.kind)
    }

    /// Whether the images are files, which are read when they are needed.
    pub(crate) fn is_files(&self) -> bool {
        self.train.size().is_none()
    }
}

/// The full path of a folder of files.
fn full_path(kind: &'static str, root: &Path) -> Result<PathBuf, Error> {
    let refused = |reason| Error::NoFolder { kind, root: root.to_path_buf(), reason };
    root.canonicalize().map_err(refused)
}

/// A banner that says that the images are not CIFAR-10.
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
