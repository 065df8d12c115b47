//! CIFAR-10 and CIFAR-100, parsed from bytes: Krizhevsky's binary version, and his version for Python (`python.rs`).
//!
//! A record is one label byte (CIFAR-10) or a coarse and a fine one (CIFAR-100), then 3072 bytes:
//! the red, green and blue planes of 32 rows of 32 pixels. [`Cifar::parse`] interleaves the planes.

mod class_names;
mod folder;
mod python;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::{Error, Split};

/// Height and width of every image in pixels.
pub const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;

/// One of the two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cifar {
    /// 50,000 + 10,000 images in 10 classes.
    Cifar10,
    /// 50,000 + 10,000 images in 100 classes; the 20 coarse labels are checked and ignored.
    Cifar100,
}

/// One file of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Its name in the official archive.
    pub name: &'static str,
    /// Number of records in it.
    pub records: usize,
}

/// The contents of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// `[records, 32, 32, 3]`: RGB, interleaved.
    pub pixels: Vec<u8>,
    /// The (fine) label of every record.
    pub labels: Vec<u32>,
}

/// One label byte of a record.
struct LabelByte {
    name: &'static str,
    classes: u8,
}

impl Cifar {
    /// The name of the set, as in `cargo xtask fetch`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
        }
    }

    /// The folder that the official archive unpacks to.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10-batches-bin",
            Self::Cifar100 => "cifar-100-binary",
        }
    }

    /// The folder that the official archive of the version for Python unpacks to.
    #[must_use]
    pub fn python_folder(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10-batches-py",
            Self::Cifar100 => "cifar-100-python",
        }
    }

    /// Names of the classes, by label; for CIFAR-100 the fine ones.
    #[must_use]
    pub fn class_names(self) -> &'static [&'static str] {
        match self {
            Self::Cifar10 => &class_names::CIFAR10,
            Self::Cifar100 => &class_names::CIFAR100,
        }
    }

    /// The files of a split, in order.
    #[must_use]
    pub fn files(self, split: Split) -> &'static [File] {
        match (self, split) {
            (Self::Cifar10, Split::Train) => &[
                File { name: "data_batch_1.bin", records: 10_000 },
                File { name: "data_batch_2.bin", records: 10_000 },
                File { name: "data_batch_3.bin", records: 10_000 },
                File { name: "data_batch_4.bin", records: 10_000 },
                File { name: "data_batch_5.bin", records: 10_000 },
            ],
            (Self::Cifar10, Split::Test) => &[File { name: "test_batch.bin", records: 10_000 }],
            (Self::Cifar100, Split::Train) => &[File { name: "train.bin", records: 50_000 }],
            (Self::Cifar100, Split::Test) => &[File { name: "test.bin", records: 10_000 }],
        }
    }

    /// Length of one record in bytes.
    #[must_use]
    pub fn record_bytes(self) -> usize {
        self.label_bytes().len() + 3 * PLANE
    }

    /// Parses `records` records from the bytes of a file. Messages name the file by `file`.
    ///
    /// # Errors
    /// `bytes` of another length, or a label out of range; the error has the offset and the value.
    pub fn parse(self, file: &Path, bytes: &[u8], records: usize) -> Result<Records, Error> {
        self.check_length(file, bytes.len() as u64, records)?;
        let mut pixels = vec![0; records * 3 * PLANE];
        let mut labels = Vec::with_capacity(records);
        let images = pixels.chunks_exact_mut(3 * PLANE);
        for (record, (source, image)) in
            bytes.chunks_exact(self.record_bytes()).zip(images).enumerate()
        {
            let (label_bytes, planes) = source.split_at(self.label_bytes().len());
            labels.push(self.label(file, record, label_bytes)?);
            interleave(planes, image);
        }
        Ok(Records { pixels, labels })
    }

    fn label_bytes(self) -> &'static [LabelByte] {
        match self {
            Self::Cifar10 => &[LabelByte { name: "label", classes: 10 }],
            Self::Cifar100 => &[
                LabelByte { name: "coarse label", classes: 20 },
                LabelByte { name: "fine label", classes: 100 },
            ],
        }
    }

    fn check_length(self, file: &Path, got: u64, records: usize) -> Result<(), Error> {
        let (records, record_bytes) = (records as u64, self.record_bytes() as u64);
        if records.checked_mul(record_bytes) == Some(got) {
            return Ok(());
        }
        Err(Error::WrongLength { file: file.into(), got, records, record_bytes, set: self.name() })
    }

    /// The label of a record: the last of its label bytes, once all are in range.
    fn label(self, file: &Path, record: usize, bytes: &[u8]) -> Result<u32, Error> {
        let mut fine = 0;
        for (position, (&value, label)) in bytes.iter().zip(self.label_bytes()).enumerate() {
            if value >= label.classes {
                return Err(Error::LabelByteOutOfRange {
                    file: file.into(),
                    offset: record * self.record_bytes() + position,
                    record,
                    label: label.name,
                    value,
                    classes: label.classes,
                    set: self.name(),
                });
            }
            fine = u32::from(value);
        }
        Ok(fine)
    }
}

/// `[3, rows, columns]` to `[rows, columns, 3]`; rows and columns keep their order.
fn interleave(planes: &[u8], image: &mut [u8]) {
    let (red, rest) = planes.split_at(PLANE);
    let (green, blue) = rest.split_at(PLANE);
    let (pixels, _) = image.as_chunks_mut::<3>();
    for (((pixel, &red), &green), &blue) in pixels.iter_mut().zip(red).zip(green).zip(blue) {
        *pixel = [red, green, blue];
    }
}
