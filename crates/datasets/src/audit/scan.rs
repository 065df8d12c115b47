//! Reads every image once, in several threads, and keeps a few bytes of each.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use sha2::{Digest, Sha256};

use super::All;
use super::likeness::{Likeness, is_blank};
use super::thumbnail::Thumbnail;
use crate::Error;
use crate::decode::{coding, decode};
use crate::source::Decoded;

/// An image that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number through all parts.
    pub index: u32,
    /// The reason.
    pub reason: String,
}

/// The few bytes that are kept of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Its number through all parts.
    pub(super) index: u32,
    /// The first bytes of the sha256 of its file, or of its pixels where it has none.
    pub(super) digest: u128,
    pub(super) likeness: Option<Likeness>,
    pub(super) thumbnail: Thumbnail,
    pub(super) size: [u32; 2],
    pub(super) is_blank: bool,
}

/// All images.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// Those that can be read, in their order.
    pub(super) records: Vec<Record>,
    /// The others, in their order.
    pub(super) unreadable: Vec<Unreadable>,
    /// The number of images of each format and colours, such as `JPEG, RGB`.
    pub(super) codings: BTreeMap<String, u64>,
}

/// Images that a thread takes at a time.
const TAKEN: usize = 8;

/// Reads the images of `all` in `workers` threads, and calls `read` with the number so far.
pub(super) fn scan(all: &All, workers: usize, read: &(dyn Fn(u64) + Sync)) -> Scanned {
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let scanned = Mutex::new(Scanned::default());
    let work = || {
        let mut own = Scanned::default();
        let (mut bytes, mut room) = (Vec::new(), Decoded::default());
        loop {
            let start = next.fetch_add(TAKEN, Ordering::Relaxed);
            if start >= all.len {
                break;
            }
            let end = all.len.min(start + TAKEN);
            for index in start..end {
                own.add(all, index, &mut bytes, &mut room);
            }
            let taken = (end - start) as u64;
            read(done.fetch_add(taken, Ordering::Relaxed) + taken);
        }
        scanned.lock().unwrap_or_else(PoisonError::into_inner).join(own);
    };
    thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
    let mut scanned = scanned.into_inner().unwrap_or_else(PoisonError::into_inner);
    scanned.records.sort_unstable_by_key(|record| record.index);
    scanned.unreadable.sort_unstable_by_key(|unreadable| unreadable.index);
    scanned
}

impl Scanned {
    fn add(&mut self, all: &All, index: usize, bytes: &mut Vec<u8>, room: &mut Decoded) {
        // A file that makes a decoder panic is one that cannot be read.
        let looked = catch_unwind(AssertUnwindSafe(|| look(all, index, bytes, room)));
        let index = index as u32;
        let reason = match looked {
            Ok(Ok((record, coding))) => {
                *self.codings.entry(coding).or_default() += 1;
                self.records.push(record);
                return;
            }
            Ok(Err(Error::Image { reason, .. })) => reason,
            Ok(Err(Error::Unreadable { source, .. })) => source.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                *room = Decoded::default();
                "the decoder gave up on it".to_string()
            }
        };
        self.unreadable.push(Unreadable { index, reason });
    }

    fn join(&mut self, other: Self) {
        self.records.extend(other.records);
        self.unreadable.extend(other.unreadable);
        for (coding, count) in other.codings {
            *self.codings.entry(coding).or_default() += count;
        }
    }
}

fn look(
    all: &All,
    index: usize,
    bytes: &mut Vec<u8>,
    room: &mut Decoded,
) -> Result<(Record, String), Error> {
    let (part, within) = all.place(index);
    let images = all.parts[part].images;
    let encoded = images.encoded(within, bytes)?;
    let (image, coding) = match encoded {
        true => {
            let image = decode(bytes, room).map_err(|error| error.of(images.name(within)))?;
            (image, coding(bytes))
        }
        false => (images.image(within, room)?, "in memory, RGB".to_string()),
    };
    let digest = match encoded {
        true => Sha256::digest(&*bytes),
        false => Sha256::digest(image.pixels.as_flattened()),
    };
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    let is_blank = is_blank(image);
    let record = Record {
        index: index as u32,
        digest: u128::from_le_bytes(first),
        likeness: Likeness::of(image).filter(|_| !is_blank),
        thumbnail: Thumbnail::of(image),
        size: [image.height as u32, image.width as u32],
        is_blank,
    };
    Ok((record, coding))
}
