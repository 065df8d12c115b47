//! The errors of sets and loaders, in one place, so that all messages say the same three things: the problem, the
//! value, and the remedy.

mod layout;
mod parquet;
mod table;

use std::io;
use std::path::PathBuf;

pub use self::layout::LayoutError;
pub use self::parquet::{ParquetFileError, ParquetProblem};
pub use self::table::{TableError, TableProblem};

/// A set that cannot be read, or a loader that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the set is missing.
    #[error(
        "{} is missing, and so is {}; run `cargo xtask fetch {set}`, or name the folder that holds the set",
        .file.display(), .nested.display()
    )]
    Missing {
        /// The file, directly in the folder that was given.
        file: PathBuf,
        /// The same file in the folder that the official archive unpacks to.
        nested: PathBuf,
        /// The set, as `cargo xtask fetch` calls it.
        set: &'static str,
    },

    /// A file of the version for Python, which is a pickle.
    #[error(
        "{}: {problem}; unpack its archive again, or run `cargo xtask fetch {set}` to get the binary version",
        .file.display()
    )]
    PythonVersion {
        /// The file.
        file: PathBuf,
        /// The problem.
        problem: String,
        /// The set, as `cargo xtask fetch` calls it.
        set: &'static str,
    },

    /// A file exists but cannot be read.
    #[error("cannot read {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's error.
        source: io::Error,
    },

    /// A file is shorter or longer than its records.
    #[error(
        "{}: too {} by {}: {got} bytes, where {records} records of {record_bytes} bytes make {}; \
         the last whole record ends at byte {}; run `cargo xtask fetch {set}` to get it again",
        .file.display(),
        if *.got < expected(*.records, *.record_bytes) { "short" } else { "long" },
        .got.abs_diff(expected(*.records, *.record_bytes)),
        expected(*.records, *.record_bytes),
        .got - .got % .record_bytes
    )]
    WrongLength {
        /// The file.
        file: PathBuf,
        /// Its length in bytes.
        got: u64,
        /// Number of records that it should hold.
        records: u64,
        /// Length of one record in bytes.
        record_bytes: u64,
        /// The set, as `cargo xtask fetch` calls it.
        set: &'static str,
    },

    /// A record's label names no class.
    #[error(
        "{}: byte {offset} (record {record}): {label} is {value}, expected 0 to {}; \
         run `cargo xtask fetch {set}` to get it again",
        .file.display(), .classes - 1
    )]
    LabelByteOutOfRange {
        /// The file.
        file: PathBuf,
        /// The place of the label in the file, in bytes.
        offset: usize,
        /// The record, counted from 0.
        record: usize,
        /// The kind of label: `label`, `coarse label` or `fine label`.
        label: &'static str,
        /// The label.
        value: u8,
        /// Number of classes.
        classes: u8,
        /// The set, as `cargo xtask fetch` calls it.
        set: &'static str,
    },

    /// The pixels and the labels of a set do not match.
    #[error(
        "{pixels} bytes of pixels for {labels} labels of {height}x{width} RGB images, expected {labels} * {height} * {width} * 3"
    )]
    PixelCount {
        /// Bytes of pixels.
        pixels: usize,
        /// Number of labels.
        labels: usize,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },

    /// Images without a pixel.
    #[error("images of {height}x{width} pixels have no area")]
    NoArea {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },

    /// A set has more images than a 32-bit index can count.
    #[error("{0} images are more than one set can hold ({max})", max = u32::MAX)]
    TooManyImages(usize),

    /// An image's label names no class.
    #[error("image {index} has label {label}, but there are {classes} classes")]
    LabelOutOfRange {
        /// The image.
        index: usize,
        /// Its label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },

    /// A multi-label set without a class.
    #[error("a set of images with several labels has no class; name one at least")]
    NoClasses,

    /// Classes that cannot be balanced, since an image may be of several.
    #[error(
        "classes cannot be balanced in a set of images with several labels: an image of a rare class brings its common ones \
         along; take another order"
    )]
    BalancedSeveral,

    /// Synthetic images that are too small for their shapes.
    #[error(
        "synthetic images of {size}x{size} pixels are too small to tell the shapes apart; use {min} or more"
    )]
    SyntheticSize {
        /// The side, in pixels.
        size: usize,
        /// The smallest side, in pixels.
        min: usize,
    },

    /// A batch size of 0.
    #[error("batch size 0; use 1 or more")]
    EmptyBatch,

    /// An epoch without a batch.
    #[error("no batch in an epoch: {images} images, batch size {batch_size}, last partial batch {}; use a smaller batch or more images",
        if *.dropped { "dropped" } else { "kept" })]
    NoBatch {
        /// Images in the set.
        images: usize,
        /// Images in a batch.
        batch_size: usize,
        /// Whether the last partial batch is dropped.
        dropped: bool,
    },

    /// A rank without an image in some step, or a rank that does not exist.
    #[error(
        "rank {rank} of {world_size} ranks: every batch needs an image for each rank, and a batch has {images}; \
         use larger batches, more images or fewer ranks"
    )]
    LessThanRanks {
        /// Images in a batch, of all ranks together.
        images: usize,
        /// The rank.
        rank: usize,
        /// Number of ranks.
        world_size: usize,
    },

    /// The padding of a crop is as large as the image.
    #[error(
        "crop padding {padding} needs images of more than {padding} pixels a side, these are {height}x{width}"
    )]
    Padding {
        /// Padding on each side, in pixels.
        padding: usize,
        /// Height of the images in pixels.
        height: usize,
        /// Width of the images in pixels.
        width: usize,
    },

    /// A cutout has no area or is larger than the image.
    #[error(
        "cutout size {size} must lie between 1 and the shorter side of the images ({height}x{width})"
    )]
    Cutout {
        /// Side of the square in pixels.
        size: usize,
        /// Height of the images in pixels.
        height: usize,
        /// Width of the images in pixels.
        width: usize,
    },

    /// A number that is not a probability.
    #[error("{option} is {value}, expected a probability between 0 and 1")]
    Probability {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        value: f64,
    },

    /// A number outside the range of an option.
    #[error("{option} is {value}, expected {accepted}")]
    OutOfRange {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        value: f64,
        /// The accepted values.
        accepted: &'static str,
    },

    /// Two bounds in the wrong order, or out of range.
    #[error(
        "{option} is [{low}, {high}], expected two numbers above {least}{}, the first not above the second",
        if .most.is_finite() { format!(" and at most {most}") } else { String::new() }
    )]
    Interval {
        /// Name of the option.
        option: &'static str,
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
        /// Both lie above this.
        least: f64,
        /// Neither lies above this.
        most: f64,
    },

    /// Two ways to cut one image.
    #[error("crop with padding {padding} and resized_crop both cut the image; use one of them")]
    TwoCrops {
        /// Padding of the first in pixels.
        padding: usize,
    },

    /// Normalising would yield infinities or NaN.
    #[error(
        "normalisation with mean {mean:?} and standard deviation {std:?}: every mean must be finite and every deviation finite and above 0"
    )]
    Normalization {
        /// Mean of each channel.
        mean: [f64; 3],
        /// Standard deviation of each channel.
        std: [f64; 3],
    },

    /// Images of different sizes without a [`Fit`](crate::Fit).
    #[error("the images have different sizes; set a common one in the recipe's table [input]")]
    NoFit,

    /// An input side that is 0 or too large.
    #[error("the input's side is {side}, expected 1 to {most}")]
    Side {
        /// The side, in pixels.
        side: usize,
        /// The largest side, in pixels.
        most: usize,
    },

    /// A crop fraction that leaves almost nothing, or more than the image.
    #[error("the input's crop fraction is {0}, expected above 0.1 and at most 1")]
    CropFraction(f64),

    /// A file without an image, or with a broken one.
    #[error("{name} cannot be decoded: {reason} (JPEG, PNG, WebP, GIF, TIFF and BMP are read)")]
    Image {
        /// The file.
        name: String,
        /// The decoder's reason.
        reason: String,
    },

    /// A folder of images that is no set.
    #[error(transparent)]
    Layout(Box<LayoutError>),

    /// A table of images that cannot be used.
    #[error(transparent)]
    Table(Box<TableError>),

    /// A Parquet file of images that cannot be used.
    #[error(transparent)]
    Parquet(Box<ParquetFileError>),

    /// A temporary file that cannot be written.
    #[error(
        "cannot write images to a temporary file in {}{}; make room there, or set TMPDIR to another folder",
        .folder.display(),
        match .written / 1_000_000 { 0 => String::new(), megabytes => format!(", after {megabytes} MB") }
    )]
    Spool {
        /// The folder of the file.
        folder: PathBuf,
        /// Number of bytes that were written before.
        written: u64,
        /// The system's error.
        source: io::Error,
    },

    /// A format that this build does not read.
    #[error("{format} files are not read by this build; build with the feature `{feature}`")]
    WithoutFeature {
        /// The format.
        format: &'static str,
        /// The Cargo feature.
        feature: &'static str,
    },

    /// A fraction of the set outside its range.
    #[error("the fraction to hold back is {0}, expected at least 0 and below 1")]
    HeldFraction(f64),

    /// No archives, or no samples in them.
    #[error(
        "{} holds no archives (.tar) with images and labels (KEY.jpg beside KEY.cls)",
        .folder.display()
    )]
    NoShards {
        /// The folder.
        folder: PathBuf,
    },

    /// An archive that does not follow the layout of webdataset.
    #[error("{}: {problem}", .file.display())]
    Shard {
        /// The archive.
        file: PathBuf,
        /// The problem.
        problem: String,
    },

    /// A label above the number of images.
    #[error(
        "{name} has label {label}, but there are only {images} images; labels count the classes from 0, and a file \
         classes.txt names them"
    )]
    LabelBeyond {
        /// The image, after its archive.
        name: String,
        /// The label.
        label: u32,
        /// Number of images.
        images: usize,
    },

    /// A list of class names that is too short.
    #[error("label {label} has no name; {} has only {names} lines", .root.join("classes.txt").display())]
    ClassWithoutName {
        /// The label.
        label: u32,
        /// Number of lines of the list.
        names: usize,
        /// The set.
        root: PathBuf,
    },
}

impl From<LayoutError> for Error {
    fn from(error: LayoutError) -> Self {
        Self::Layout(Box::new(error))
    }
}

impl From<TableError> for Error {
    fn from(error: TableError) -> Self {
        Self::Table(Box::new(error))
    }
}

impl From<ParquetFileError> for Error {
    fn from(error: ParquetFileError) -> Self {
        Self::Parquet(Box::new(error))
    }
}

fn expected(records: u64, record_bytes: u64) -> u64 {
    records.saturating_mul(record_bytes)
}
