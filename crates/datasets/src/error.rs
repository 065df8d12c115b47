//! Everything that can be wrong with a set or with what a loader is asked to do, in one place, so
//! that the messages keep one voice: what is wrong, the value, and what to do.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// Why a set could not be read or a loader could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the set is not where it was looked for.
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

    /// A file is there but cannot be read.
    #[error("cannot read {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
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
        /// Where in the file the label stands, in bytes.
        offset: usize,
        /// The record, counted from 0.
        record: usize,
        /// Which label: `label`, `coarse label` or `fine label`.
        label: &'static str,
        /// What stands there.
        value: u8,
        /// Number of classes.
        classes: u8,
        /// The set, as `cargo xtask fetch` calls it.
        set: &'static str,
    },

    /// A set's pixels and labels do not match each other.
    #[error(
        "{pixels} bytes of pixels for {labels} labels of {height}x{width} RGB images, expected {labels} * {height} * {width} * 3"
    )]
    PixelCount {
        /// Bytes that were given.
        pixels: usize,
        /// Labels that were given.
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

    /// A set has more images than a 32-bit index can name.
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

    /// Synthetic shapes need some pixels to be told apart.
    #[error(
        "synthetic images of {size}x{size} pixels are too small to tell the shapes apart; take {min} or more"
    )]
    SyntheticSize {
        /// Side that was asked for, in pixels.
        size: usize,
        /// The smallest side, in pixels.
        min: usize,
    },

    /// A loader was asked for batches of nothing.
    #[error("batch size 0; take 1 or more")]
    EmptyBatch,

    /// An epoch would have no batch at all.
    #[error("no batch in an epoch: {images} images, batch size {batch_size}, last partial batch {}; take a smaller batch or more images",
        if *.dropped { "dropped" } else { "kept" })]
    NoBatch {
        /// Images in the set.
        images: usize,
        /// Images in a batch.
        batch_size: usize,
        /// Whether a partial batch would have been dropped.
        dropped: bool,
    },

    /// A rank would be without an image in some step, or there is no such rank.
    #[error(
        "rank {rank} of {world_size} ranks: there must be an image for each in every batch, and a batch has {images}; \
         take larger batches, more images or fewer ranks"
    )]
    LessThanRanks {
        /// Images in a batch, of all ranks together.
        images: usize,
        /// Which rank.
        rank: usize,
        /// How many ranks.
        world_size: usize,
    },

    /// A crop's padding reaches past the image.
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

    /// A probability is none.
    #[error("{option} is {value}, expected a probability between 0 and 1")]
    Probability {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        value: f64,
    },

    /// A number that an option does not take.
    #[error("{option} is {value}, expected {accepted}")]
    OutOfRange {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        value: f64,
        /// What it takes.
        accepted: &'static str,
    },

    /// Two bounds that bound nothing.
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
        /// What both have to lie above.
        least: f64,
        /// What neither may lie above.
        most: f64,
    },

    /// Two ways to cut one image.
    #[error("crop with padding {padding} and resized_crop both cut the image; take one of them")]
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

    /// Images of many sizes, and no word on how they come to one.
    #[error("the images are of many sizes; say how they come to one: the recipe's table [input]")]
    NoFit,

    /// A side that no network is given.
    #[error("the input's side is {side}, expected 1 to {most}")]
    Side {
        /// In pixels.
        side: usize,
        /// The largest.
        most: usize,
    },

    /// More is cut off than is left, or more is asked for than there is.
    #[error("the input's crop fraction is {0}, expected above 0.1 and at most 1")]
    CropFraction(f64),

    /// A file that holds no image, or a broken one.
    #[error("{name} cannot be decoded: {reason} (JPEG, PNG, WebP and BMP are read)")]
    Image {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A folder that does not hold a folder for each class.
    #[error(
        "{} holds {found} {} of images, and at least two are needed, one for each class",
        .folder.display(), if *.found == 1 { "folder" } else { "folders" }
    )]
    NoClasses {
        /// The folder.
        folder: PathBuf,
        /// How many it holds.
        found: usize,
    },

    /// A test set where a training set is needed as well.
    #[error(
        "{0} holds a test set ({test}) and nothing to train on; put a folder train beside it, or name {1} itself",
        .folder.display(), .folder.join(.test).display()
    )]
    TestAlone {
        /// The folder.
        folder: PathBuf,
        /// The test set's folder in it.
        test: String,
    },

    /// A class without images.
    #[error(
        "{} holds no image (.jpg, .jpeg, .png, .webp or .bmp): put some there, or remove it",
        .folder.display()
    )]
    EmptyClass {
        /// Its folder.
        folder: PathBuf,
    },

    /// A class of which nothing can be held back.
    #[error(
        "class {class} in {} has one image, and two are needed: one to train on, one to test with",
        .root.display()
    )]
    OneImage {
        /// The class.
        class: String,
        /// The set.
        root: PathBuf,
    },

    /// A class that is tested and never trained.
    #[error("class {class} of the test set in {} is not in the training set", .root.display())]
    UntrainedClass {
        /// The class.
        class: String,
        /// The set.
        root: PathBuf,
    },

    /// A part of a set that is none.
    #[error("the part that is held back is {0}, expected 0 or above and below 1")]
    HeldFraction(f64),

    /// Folders without end.
    #[error("{} lies more than {most} folders deep in its class: does a link lead back?", .folder.display())]
    TooDeep {
        /// The folder.
        folder: PathBuf,
        /// How deep is deep enough.
        most: usize,
    },

    /// A name that no message can show.
    #[error("{} holds a file whose name is not UTF-8: {name:?}", .folder.display())]
    Name {
        /// Where it lies.
        folder: PathBuf,
        /// The name.
        name: OsString,
    },

    /// No archives, or nothing in them.
    #[error(
        "{} holds no archives (.tar) with images and labels (KEY.jpg beside KEY.cls)",
        .folder.display()
    )]
    NoShards {
        /// The folder.
        folder: PathBuf,
    },

    /// An archive that is not as webdataset writes it.
    #[error("{}: {problem}", .file.display())]
    Shard {
        /// The archive.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },

    /// A label that cannot number the classes.
    #[error("a label is {label}, with {images} images in all: labels number the classes from 0")]
    LabelBeyond {
        /// The label.
        label: u32,
        /// The images.
        images: usize,
    },

    /// A list of names that is too short.
    #[error("label {label} has no name: {} has {names} lines", .root.join("classes.txt").display())]
    ClassWithoutName {
        /// The label.
        label: u32,
        /// Lines of the list.
        names: usize,
        /// The set.
        root: PathBuf,
    },
}

fn expected(records: u64, record_bytes: u64) -> u64 {
    records.saturating_mul(record_bytes)
}
