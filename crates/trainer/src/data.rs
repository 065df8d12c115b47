//! From what `--data` says to pictures in memory, and the honest word when it is not what was hoped for.

mod place;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use datasets::{Cifar, Pictures, Split, synthetic};

use crate::Error;

pub(crate) use place::searched;

/// Pictures of the synthetic sets: enough to learn from in about two minutes.
const SYNTHETIC: (usize, usize) = (10_000, 2_000);
/// The synthetic sets are one thing, whatever the seed of a run is.
const SYNTHETIC_SEED: u64 = 0;

/// What `--data` may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataSpec {
    /// CIFAR-10 if it can be found, else synthetic.
    Auto,
    /// A CIFAR set, in a folder or wherever it is found.
    Cifar(Cifar, Option<PathBuf>),
    /// Drawn on the spot.
    Synthetic,
}

impl FromStr for DataSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, folder) = match text.split_once(':') {
            Some((name, folder)) => (name, Some(PathBuf::from(folder))),
            None => (text, None),
        };
        match (name, folder) {
            ("auto", None) => Ok(DataSpec::Auto),
            ("synthetic", None) => Ok(DataSpec::Synthetic),
            ("cifar10", folder) => Ok(DataSpec::Cifar(Cifar::Cifar10, folder)),
            ("cifar100", folder) => Ok(DataSpec::Cifar(Cifar::Cifar100, folder)),
            _ => Err(Error::Usage(format!(
                "unknown data set '{text}'; known are auto, cifar10[:DIR], cifar100[:DIR] and synthetic"
            ))),
        }
    }
}

/// A training and a test set.
#[derive(Debug, Clone)]
pub(crate) struct Data {
    /// `cifar10`, `cifar100` or `synthetic`.
    pub(crate) name: &'static str,
    /// Where it came from, for people.
    pub(crate) origin: String,
    /// What is trained on.
    pub(crate) train: Arc<Pictures>,
    /// What is measured on.
    pub(crate) test: Arc<Pictures>,
    /// Whether something else was hoped for.
    pub(crate) stands_in: bool,
}

impl Data {
    /// Loads both splits of what `spec` asks for.
    pub(crate) fn load(spec: &DataSpec) -> Result<Self, Error> {
        match spec {
            DataSpec::Synthetic => Self::synthetic(false),
            DataSpec::Cifar(set, Some(folder)) => Self::cifar(*set, folder.clone()),
            DataSpec::Cifar(set, None) => match place::find(*set) {
                Some(folder) => Self::cifar(*set, folder),
                None => Err(Error::NoData(nowhere(*set))),
            },
            DataSpec::Auto => match place::find(Cifar::Cifar10) {
                Some(folder) => Self::cifar(Cifar::Cifar10, folder),
                None => Self::synthetic(true),
            },
        }
    }

    /// The names of the classes, in the order of the labels.
    pub(crate) fn class_names(&self) -> &[String] {
        self.train.class_names()
    }

    fn cifar(set: Cifar, folder: PathBuf) -> Result<Self, Error> {
        Ok(Self {
            name: set.name(),
            train: Arc::new(set.load(&folder, Split::Train)?),
            test: Arc::new(set.load(&folder, Split::Test)?),
            origin: folder.display().to_string(),
            stands_in: false,
        })
    }

    fn synthetic(stands_in: bool) -> Result<Self, Error> {
        let draw = |split, count| {
            synthetic::pictures(split, count, datasets::cifar::SIDE, SYNTHETIC_SEED).map(Arc::new)
        };
        Ok(Self {
            name: "synthetic",
            origin: "drawn by this program".to_string(),
            train: draw(Split::Train, SYNTHETIC.0)?,
            test: draw(Split::Test, SYNTHETIC.1)?,
            stands_in,
        })
    }
}

/// The whole story of a set that is nowhere.
fn nowhere(set: Cifar) -> String {
    let tried: Vec<String> =
        searched(set).iter().map(|folder| format!("  {}", folder.display())).collect();
    let name = set.name();
    format!(
        "{name} was asked for and is in none of\n{}\nget it with `cargo xtask fetch {name}`, from a mirror or archive \
         with `cargo xtask fetch {name} --from PATH_OR_URL`, or say where it is with `--data {name}:DIR`",
        tried.join("\n")
    )
}

/// What nobody may overlook: the pictures are not CIFAR-10.
pub(crate) fn stand_in_banner() -> String {
    let lines = [
        "CIFAR-10 WAS NOT FOUND: training on the SYNTHETIC set instead.",
        "",
        "Ten classes of drawn shapes, 10,000 pictures. Every figure of this run is about",
        "them and says nothing about CIFAR-10. For the real pictures, one of:",
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
    fn specs_are_read() {
        let read = |text: &str| text.parse::<DataSpec>();
        assert_eq!(read("auto").unwrap(), DataSpec::Auto);
        assert_eq!(read("cifar100").unwrap(), DataSpec::Cifar(Cifar::Cifar100, None));
        assert_eq!(
            read("cifar10:/a:b").unwrap(),
            DataSpec::Cifar(Cifar::Cifar10, Some("/a:b".into()))
        );
        for text in ["", "cifar", "synthetic:x", "imagenet"] {
            let error = read(text).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("unknown data set '{text}'; known are auto")),
                "{error}"
            );
        }
    }

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
        let data = Data::load(&DataSpec::Synthetic).unwrap();
        assert_eq!(
            (data.name, data.train.len(), data.test.len(), data.stands_in),
            ("synthetic", 10_000, 2_000, false)
        );
        assert_eq!(data.class_names().len(), 10);
    }
}
