//! The values of `--data`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use datasets::{Cifar, TableColumns};

use super::table_columns;
use crate::data::Error;
use crate::did_you_mean;

/// A value of `--data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataSpec {
    /// CIFAR-10 if it can be found, else synthetic.
    Auto,
    /// A CIFAR set, in a folder or wherever it is found.
    Cifar(Cifar, Option<PathBuf>),
    /// Shapes that this program draws.
    Synthetic,
    /// Several such shapes in each image.
    SyntheticMulti,
    /// A folder of images for each class.
    Folder(PathBuf),
    /// Archives of images.
    Shards(PathBuf),
    /// A table of images and labels.
    Csv(PathBuf, TableColumns),
    /// Parquet files with images, or a folder of them.
    Parquet(PathBuf, TableColumns),
}

impl DataSpec {
    /// Whether the images are files, which are read when they are needed.
    pub(crate) fn is_files(&self) -> bool {
        matches!(self, Self::Folder(_) | Self::Shards(_) | Self::Csv(..) | Self::Parquet(..))
    }
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
            ("synthetic-multi", None) => Ok(DataSpec::SyntheticMulti),
            ("folder", Some(folder)) => Ok(DataSpec::Folder(folder)),
            ("shards", Some(folder)) => Ok(DataSpec::Shards(folder)),
            ("csv", Some(_)) => {
                let (file, columns) = table_columns::parse("csv", &text["csv:".len()..])?;
                Ok(DataSpec::Csv(file, columns))
            }
            ("parquet", Some(_)) => {
                let (path, columns) = table_columns::parse("parquet", &text["parquet:".len()..])?;
                Ok(DataSpec::Parquet(path, columns))
            }
            ("cifar10", folder) => Ok(DataSpec::Cifar(Cifar::Cifar10, folder)),
            ("cifar100", folder) => Ok(DataSpec::Cifar(Cifar::Cifar100, folder)),
            _ => Err(Error::Unknown { text: text.to_string(), hint: meant(text, name) }),
        }
    }
}

/// ` (did you mean …?)` for an unknown data set. A path of a folder lacks the kind before it.
fn meant(text: &str, name: &str) -> String {
    if Path::new(text).is_dir() {
        return format!(" (did you mean 'folder:{text}'?)");
    }
    let ending = text.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    if let Some(kind @ ("csv" | "parquet")) = ending.as_deref()
        && Path::new(text).is_file()
    {
        return format!(" (did you mean '{kind}:{text}'?)");
    }
    did_you_mean::hint(
        name,
        [
            "auto",
            "cifar10",
            "cifar100",
            "folder",
            "shards",
            "csv",
            "parquet",
            "synthetic",
            "synthetic-multi",
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::ExitCode;

    #[test]
    fn specs_are_read() {
        let read = |text: &str| text.parse::<DataSpec>();
        assert_eq!(read("auto").unwrap(), DataSpec::Auto);
        assert_eq!(read("cifar100").unwrap(), DataSpec::Cifar(Cifar::Cifar100, None));
        assert_eq!(
            read("cifar10:/a:b").unwrap(),
            DataSpec::Cifar(Cifar::Cifar10, Some("/a:b".into()))
        );
        assert_eq!(read("synthetic-multi").unwrap(), DataSpec::SyntheticMulti);
        assert_eq!(read("folder:pets").unwrap(), DataSpec::Folder("pets".into()));
        assert_eq!(read("shards:/x").unwrap(), DataSpec::Shards("/x".into()));
        let label = TableColumns { label: Some("kind".into()), ..TableColumns::default() };
        assert_eq!(
            read("csv:a.csv?label=kind").unwrap(),
            DataSpec::Csv("a.csv".into(), label.clone())
        );
        assert_eq!(
            read("parquet:pets?label=kind").unwrap(),
            DataSpec::Parquet("pets".into(), label)
        );
        for text in ["", "cifar", "synthetic:x", "imagenet", "folder"] {
            let error = read(text).unwrap_err();
            assert_eq!(error.exit_code(), ExitCode::Usage);
            assert!(error.to_string().contains("; known are auto, cifar10[:DIR]"), "{error}");
        }
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(
            error("cifar-10").starts_with("unknown data set 'cifar-10' (did you mean 'cifar10'?);")
        );
        assert!(error("/").starts_with("unknown data set '/' (did you mean 'folder:/'?);"));
    }
}
