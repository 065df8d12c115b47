//! Errors of Parquet files with images.

use std::path::PathBuf;

use crate::first_few::first_few;

/// A Parquet file of images, or a folder of them, that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .file.display())]
pub struct ParquetFileError {
    /// The file, or the folder.
    pub file: PathBuf,
    /// The problem.
    pub problem: ParquetProblem,
}

/// The problem of a Parquet file of images.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParquetProblem {
    /// A file of another format.
    #[error("it is no Parquet file: it does not begin with PAR1")]
    NotParquet,

    /// A text in the place of a file that Git LFS was to fetch.
    #[error(
        "it is a pointer of Git LFS, which stands for the file; fetch that with `git lfs pull`"
    )]
    Pointer,

    /// A file without its end.
    #[error("it is cut off: it does not end with PAR1; fetch or copy it again")]
    CutOff,

    /// A file whose footer cannot be read without a key.
    #[error("it is encrypted; write it again without encryption")]
    Encrypted,

    /// A file that breaks the rules of its format.
    #[error("it is damaged: {0}")]
    Damaged(String),

    /// A part of the format that is not read.
    #[error(
        "it cannot be read: {0}; write it again as format version 1, such as by pyarrow or polars"
    )]
    Unsupported(String),

    /// A column in another file.
    #[error(
        "column {column} lies in another file, which is not opened; write one file with all columns"
    )]
    Outside {
        /// The column.
        column: String,
    },

    /// Pages that are packed in a way that is not read.
    #[error(
        "column {column} is compressed by {codec}; snappy, zstd and gzip are read: write the file again with one of these"
    )]
    Codec {
        /// The column.
        column: String,
        /// The name of the way.
        codec: String,
    },

    /// A column that was asked for and is not there.
    #[error("there is no column '{name}'; it has {}", first_few(.columns))]
    NoSuchColumn {
        /// The name that was typed, or that another file has.
        name: String,
        /// All columns.
        columns: Vec<String>,
    },

    /// No column that is known by its name.
    #[error("which column has the {what}? It has {}; say it: parquet:DIR?{key}=COLUMN", first_few(.columns))]
    UnknownColumn {
        /// `images` or `labels`.
        what: &'static str,
        /// `image` or `label`.
        key: &'static str,
        /// The columns that it could be.
        columns: Vec<String>,
    },

    /// A column of images that holds something else.
    #[error(
        "column {column} holds {kind} and no images; say which column has their bytes: parquet:DIR?image=COLUMN"
    )]
    NoBytes {
        /// The column.
        column: String,
        /// Its values in prose.
        kind: &'static str,
    },

    /// A file with images and nothing else.
    #[error(
        "it has images and no column for their labels; networks here learn from labelled images"
    )]
    NoLabelColumn,

    /// Numbers in some rows, and texts that are none in others.
    #[error(
        "column {column} holds numbers, and texts such as '{text}', which name no class of these; write all labels in one way"
    )]
    NumbersAndText {
        /// The column.
        column: String,
        /// A text.
        text: String,
    },

    /// A text that is too long for the name of a class.
    #[error(
        "column {column} has a label of {bytes} bytes; the name of a class has at most 1000, so say which column has the labels: \
         parquet:DIR?label=COLUMN"
    )]
    LongLabel {
        /// The column.
        column: String,
        /// The length of the text.
        bytes: usize,
    },

    /// A label for every image.
    #[error(
        "column {column} has another label in each row, so it rather numbers the images; say which column has the labels: \
         parquet:DIR?label=COLUMN"
    )]
    EachItsOwn {
        /// The column.
        column: String,
    },

    /// A column of labels that holds something else.
    #[error(
        "column {column} holds {kind}, which are no labels; say which column has these: parquet:DIR?label=COLUMN"
    )]
    NoLabel {
        /// The column.
        column: String,
        /// Its values in prose.
        kind: &'static str,
    },

    /// An option of tables with several labels.
    #[error(
        "several labels for an image are read from tables and archives only (csv:FILE?{option}=…, shards:DIR); write the rows as a \
         table, or leave ?{option} out"
    )]
    SeveralAsked {
        /// `separator` or `labels`.
        option: &'static str,
    },

    /// A column with several labels in a row.
    #[error(
        "column {column} holds lists, which are several labels; those are read from tables and archives only (csv:FILE?separator=|, \
         shards:DIR): keep one, or write the rows as a table"
    )]
    SeveralLabels {
        /// The column.
        column: String,
    },

    /// A text of several labels.
    #[error(
        "column {column}: '{label}' is several labels; those are read from tables and archives only (csv:FILE?separator=|, \
         shards:DIR): keep one, or write the rows as a table"
    )]
    ListLabel {
        /// The column.
        column: String,
        /// The text.
        label: String,
    },

    /// A number that is no whole one.
    #[error("column {column} has the label {label}, which is no whole number")]
    NotWhole {
        /// The column.
        column: String,
        /// The number.
        label: String,
    },

    /// A label that is no text.
    #[error(
        "column {column} has a label that is no text in UTF-8; write it as text or as a number"
    )]
    NoText {
        /// The column.
        column: String,
    },

    /// A label beyond the names.
    #[error("column {column} has the label {label}, and the file names only {names} classes")]
    LabelWithoutName {
        /// The column.
        column: String,
        /// The label.
        label: i64,
        /// Number of names.
        names: usize,
    },

    /// Two files that name the classes differently.
    #[error(
        "the classes of column {column} have other names here than in {other}; use files of one set"
    )]
    OtherNames {
        /// The column.
        column: String,
        /// The other file.
        other: String,
    },

    /// No row has a label.
    #[error(
        "no image to train on has a label in column {column}; say which column has the labels: parquet:DIR?label=COLUMN"
    )]
    NoLabels {
        /// The column.
        column: String,
    },

    /// A set of one class.
    #[error("all rows have the label '{label}'; two classes at least are needed")]
    OneClass {
        /// The label.
        label: String,
    },

    /// A column of parts that holds something else.
    #[error(
        "column {column} holds {kind}; the parts of the set are said by text: train, val and test"
    )]
    NoSplit {
        /// The column.
        column: String,
        /// Its values in prose.
        kind: &'static str,
    },

    /// Values of a column of parts that are no parts.
    #[error("column {column} says for which part of the set an image is, and some of its values are no part: {}; use train, val and test", first_few(.values))]
    UnknownSplit {
        /// The column.
        column: String,
        /// The values.
        values: Vec<String>,
    },

    /// Rows for testing only.
    #[error("column {column} has no rows for train")]
    NoTraining {
        /// The column.
        column: String,
    },

    /// No row has an image.
    #[error("none of its {rows} rows has an image")]
    NoImages {
        /// Number of rows.
        rows: usize,
    },

    /// No row has the bytes of an image, and no file is there.
    #[error(
        "it has paths in place of images, and none of the {rows} files is there, such as '{image}'; say in which folder they are (?folder=DIR)"
    )]
    NothingFound {
        /// Number of rows.
        rows: usize,
        /// The first path.
        image: String,
    },

    /// An image that is too large.
    #[error("row {row} has an image of {length} bytes, more than the 256 MiB of an image file")]
    LargeImage {
        /// The row, counted from 0.
        row: u64,
        /// Length of the image in bytes.
        length: u64,
    },
}
