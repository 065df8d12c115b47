//! Labelled images and batches of them: CIFAR-10, CIFAR-100 and a synthetic set, folders and archives of images,
//! augmentation, and a loader.
//!
//! A set is a [`Source`]: [`Images`] in memory, or [`ImageFiles`] that are decoded when they are needed. Sets are
//! bytes; only a [`Loader`] makes tensors, in [`Batch`]es of normalised images. This crate knows no model, reads no
//! environment, and draws all its random numbers from counters (see [`random`]): the same seed gives the same batches
//! on any number of threads and after any interruption.

mod audit;
mod augment;
pub mod cifar;
mod decode;
mod error;
mod first_few;
mod fit;
mod image_endings;
mod image_files;
mod images;
mod label_lists;
mod loader;
mod normalization;
mod prefetch;
pub mod random;
pub mod regular_file;
mod source;
pub mod synthetic;
pub mod text;
mod transform;

pub use audit::{AuditOptions, ClassFindings, Findings, Group, Part, Unreadable, audit};
pub use augment::{
    Augmentation, Crop, Erasing, ErasingValue, FlipSchedule, Interpolation, Jitter, Mix, Mixed,
    PaddingMode, Policy, ResizedCrop,
};
pub use cifar::Cifar;
pub use decode::{DecodeError, decode, decode_file};
pub use error::{Error, LayoutError, ParquetFileError, ParquetProblem, TableError, TableProblem};
pub use fit::{Fit, Shape};
pub use image_endings::is_image;
pub use image_files::{
    Found, Held, ImageFiles, ShardIndex, Shards, Skipped, TableColumns, content_in_name, folder,
    folds, parquet, shards, table,
};
pub use images::{Images, Split};
pub use loader::{
    Batch, Batches, Broken, BrokenImage, ClassShare, LastBatch, Loader, LoaderConfig, Order, Rest,
    Share,
};
pub use normalization::Normalization;
pub use source::{Decoded, ImageRef, Joined, Renumbered, Selected, Source};
