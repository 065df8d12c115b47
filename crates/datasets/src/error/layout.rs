//! Errors of the layout of a set of files: folders and tables that do not say which image is of which class, or for which
//! part of the set.

use std::path::PathBuf;

use crate::first_few::first_few;

/// A folder or a table of images that is no set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A folder that does not hold a folder for each class.
    #[error(
        "{} holds {found} {} of images; at least two are needed, one for each class{hint}",
        .folder.display(), if *.found == 1 { "folder" } else { "folders" }
    )]
    NoClasses {
        /// The folder.
        folder: PathBuf,
        /// Number of folders in it.
        found: usize,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },

    /// A test or validation set without a training set.
    #[error(
        "{} holds a {part} ({name}) and no training set; put a folder train beside it, or give {} itself",
        .folder.display(), .folder.join(.name).display()
    )]
    NoTraining {
        /// The folder.
        folder: PathBuf,
        /// `test set` or `validation set`.
        part: &'static str,
        /// The folder of that set in it.
        name: String,
    },

    /// Two folders for one part of a set.
    #[error(
        "{} holds two folders that could be the {part}, {first} and {second}; rename one, or move it away",
        .folder.display()
    )]
    TwoOfOnePart {
        /// The folder.
        folder: PathBuf,
        /// The part of the set in prose.
        part: &'static str,
        /// One folder.
        first: String,
        /// The other.
        second: String,
    },

    /// A folder called `train` beside folders of images.
    #[error(
        "{} holds {train}, which looks like a training set with a folder for each class, and {other}, which looks like a \
         class; move {other} away, or rename {train}",
        .folder.display()
    )]
    TrainingOrClass {
        /// The folder.
        folder: PathBuf,
        /// The folder that is called as a training set.
        train: String,
        /// A folder of images.
        other: String,
    },

    /// A training set without labels.
    #[error(
        "{} holds images and no folders of classes, so their labels are unknown; sort them into a folder for each class, or \
         give a table of labels, csv:{table}",
        .folder.display()
    )]
    NoLabels {
        /// The folder.
        folder: PathBuf,
        /// A table that lies there, or `FILE`.
        table: String,
    },

    /// Several sets in one folder.
    #[error(
        "every folder in {} holds only folders, with common names ({}): these look like the classes; give one of the sets, \
         folder:{}, or rename the folders to train, val and test",
        .folder.display(), first_few(.classes), .give.display()
    )]
    SetsInFolder {
        /// The folder.
        folder: PathBuf,
        /// The names that all folders in it have in common.
        classes: Vec<String>,
        /// One of the folders in it.
        give: PathBuf,
    },

    /// Classes with a folder for each part.
    #[error(
        "the classes in {} hold folders called {}; put these above the classes: {}",
        .folder.display(), first_few(.parts), .folder.join(&.parts[0]).join(.class).display()
    )]
    PartsInClasses {
        /// The folder.
        folder: PathBuf,
        /// One of the classes.
        class: String,
        /// The names of the parts, one at least.
        parts: Vec<String>,
    },

    /// A class without an image.
    #[error(
        "{} holds no image ({}); {}add some, or remove the folder",
        .folder.display(),
        crate::image_endings::NAMED,
        if .others.is_empty() { String::new() } else { format!("it holds {}; ", .others) }
    )]
    EmptyClass {
        /// Its folder.
        folder: PathBuf,
        /// The endings of the files in it with their counts, or nothing.
        others: String,
    },

    /// Classes with too few images to hold one back.
    #[error(
        "{} one image each ({}); two are needed, one to train on and one to test on: add an image, remove the class, or \
         make a test set of your own",
        if .classes.len() == 1 { "1 class has".to_string() } else { format!("{} classes have", .classes.len()) },
        first_few(.classes)
    )]
    OneImage {
        /// The classes.
        classes: Vec<String>,
    },

    /// Classes of the test or validation set that the training set lacks.
    #[error(
        "{} of the {part} in {} {} not in the training set: {}",
        if .classes.len() == 1 { "1 class".to_string() } else { format!("{} classes", .classes.len()) },
        .root.display(), if .classes.len() == 1 { "is" } else { "are" }, first_few(.classes)
    )]
    UntrainedClass {
        /// The classes.
        classes: Vec<String>,
        /// The part of the set in prose.
        part: &'static str,
        /// The set.
        root: PathBuf,
    },

    /// Folders nested too deep, such as by a link to a folder above.
    #[error("{} lies more than {most} folders deep; check for a link to a folder above it", .folder.display())]
    TooDeep {
        /// The folder.
        folder: PathBuf,
        /// The deepest level that is read.
        most: usize,
    },

    /// A folder without a Parquet file.
    #[error("{} holds no Parquet files (.parquet), neither in it nor in a folder data; say where they are", .folder.display())]
    NoParquet {
        /// The folder.
        folder: PathBuf,
    },

    /// Parquet files in a folder for each value of a column.
    #[error(
        "{} is divided by the values of a column, as in {first}, and that column is not in its files; write the set again with \
         it in them",
        .folder.display()
    )]
    Partitions {
        /// The folder.
        folder: PathBuf,
        /// One of the folders in it.
        first: String,
    },

    /// Several sets of Parquet files in one folder.
    #[error(
        "{} holds several sets of Parquet files, {}; give one of them: parquet:{}",
        .folder.display(), first_few(.configurations), .folder.join(&.configurations[0]).display()
    )]
    SeveralConfigurations {
        /// The folder.
        folder: PathBuf,
        /// The folders of the sets, two at least.
        configurations: Vec<String>,
    },
}
