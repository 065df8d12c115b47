//! A look at every image of a set before it is trained on: what cannot be read, what is there twice, what is too small.
//!
//! Of an image only hashes, its size and a thumbnail of 256 bytes stay in memory.

mod findings;
mod groups;
mod likeness;
mod scan;
#[cfg(test)]
mod tests;
mod thumbnail;

pub use self::findings::{ClassFindings, Findings};
pub use self::groups::Group;
pub use self::scan::Unreadable;

use self::groups::{exact, near};
use self::scan::scan;
use crate::source::Source;

/// A part of a set with its name, such as `train`.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The name of the part.
    pub name: &'static str,
    /// Its images.
    pub images: &'a dyn Source,
}

/// Options of [`audit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditOptions {
    /// Images with a shorter side than this are tiny, in pixels; 0 for none.
    pub side: usize,
    /// Images are near duplicates if at most so many of the 64 bits differ in each of their two difference hashes: of the
    /// brightness from column to column, and from row to row; and if their thumbnails confirm it.
    pub distance: u32,
    /// Threads that read images.
    pub workers: usize,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { side: 0, distance: 4, workers: 1 }
    }
}

/// Reads every image of `parts`, which are of one set, and calls `read` with the number of images so far, from any thread.
///
/// # Panics
/// Parts of different classes, or of more than 2³² images together.
#[must_use]
pub fn audit(parts: &[Part], options: AuditOptions, read: &(dyn Fn(u64) + Sync)) -> Findings {
    let all = All::new(parts);
    let scanned = scan(&all, options.workers, read);
    let is_repeated = exact(&scanned.records);
    let similar = near(&scanned.records, options.distance);
    Findings::of(&all, scanned, is_repeated, similar, options.side)
}

/// The images of all parts, numbered through.
pub(super) struct All<'a> {
    parts: &'a [Part<'a>],
    /// The number of the first image of each part.
    starts: Vec<usize>,
    len: usize,
}

impl<'a> All<'a> {
    fn new(parts: &'a [Part<'a>]) -> Self {
        let mut len = 0;
        let mut starts = Vec::new();
        for part in parts {
            assert_eq!(
                part.images.class_names(),
                parts[0].images.class_names(),
                "expected parts of the same classes"
            );
            starts.push(len);
            len += part.images.len();
        }
        assert!(u32::try_from(len).is_ok(), "expected at most 2^32 images, got {len}");
        Self { parts, starts, len }
    }

    /// The part of an image, and its number there.
    fn place(&self, index: usize) -> (usize, usize) {
        let part = self.starts.partition_point(|start| *start <= index) - 1;
        (part, index - self.starts[part])
    }

    /// Fills `into` with the labels of an image.
    fn labels(&self, index: usize, into: &mut Vec<u32>) {
        let (part, index) = self.place(index);
        self.parts[part].images.labels(index, into);
    }
}
