//! Images that threads decode while the network computes, in the order of the inputs, and few at a time.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvError, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use datasets::Decoded;
use xception::weights::Description;

use super::listing::{Found, Listing, Next};
use crate::commands::Error;
use crate::network::images;
use crate::torch_error::TorchError;

/// The most threads that decode. A large image takes more memory on its way than it has pixels.
const MOST_THREADS: usize = 16;

/// An input, as far as it can be prepared without the network.
pub(super) enum Ready {
    /// An image.
    Image(PathBuf, Pixels),
    /// A file of tensors, which is yet to be read: it may be large.
    Tensors(PathBuf),
    /// An input that cannot be read.
    Unusable(PathBuf, Error),
    /// No other input is there at present.
    Pause,
}

/// An image that was decoded, resized and normalised.
pub(super) struct Pixels {
    pub(super) normalized: Vec<f32>,
    /// Of the square, in pixels.
    pub(super) side: usize,
    /// Width and height, in pixels, of the image as it came.
    pub(super) size: [usize; 2],
}

/// A place in the order of inputs.
enum Place {
    /// For an image that a thread decodes.
    Taken(Receiver<Ready>),
    Ready(Box<Ready>),
    Pause,
}

/// An image to decode, and the way back to its place.
struct Job {
    path: PathBuf,
    done: SyncSender<Ready>,
}

/// The inputs in order. Its threads end after it, on their own: one of them may wait for standard input. They hold no
/// tensor, so they are no matter when the program ends.
pub(super) struct ReadAhead {
    places: Receiver<Place>,
    /// The place that was received to know that there is one.
    next: Option<Place>,
}

impl ReadAhead {
    /// Starts to prepare the files of `listing` for the network of `description`, at most about `most` at a time.
    ///
    /// # Panics
    /// Where the system has no thread left.
    pub(super) fn new(listing: Listing, description: &Description, most: usize) -> Self {
        let (sender, places) = sync_channel(most);
        let (jobs, queue) = channel::<Job>();
        let (queue, description) = (Arc::new(Mutex::new(queue)), Arc::new(description.clone()));
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS) {
            let (queue, description) = (Arc::clone(&queue), Arc::clone(&description));
            spawn("decoder", move || decode_all(&queue, &description));
        }
        spawn("listing", move || {
            // An error: nobody asks for more.
            let _ended = listing.each(|next| {
                let place = match next {
                    Next::Pause => Place::Pause,
                    Next::Found(Found::Unusable(path, error)) => {
                        Place::Ready(Box::new(Ready::Unusable(path, *error)))
                    }
                    Next::Found(Found::File(path)) if has_tensors(&path) => {
                        Place::Ready(Box::new(Ready::Tensors(path)))
                    }
                    Next::Found(Found::File(path)) => {
                        let (done, image) = sync_channel(1);
                        // The place first: places are few, so jobs are, too.
                        sender.send(Place::Taken(image)).map_err(drop)?;
                        return jobs.send(Job { path, done }).map_err(drop);
                    }
                };
                sender.send(place).map_err(drop)
            });
        });
        Self { places, next: None }
    }
}

impl Iterator for ReadAhead {
    type Item = Ready;

    fn next(&mut self) -> Option<Ready> {
        loop {
            match self.next.take().map_or_else(|| self.places.recv(), Ok) {
                Ok(Place::Taken(image)) => return Some(image.recv().unwrap_or_else(lost)),
                Ok(Place::Ready(ready)) => return Some(*ready),
                Ok(Place::Pause) => match self.places.try_recv() {
                    Ok(place) => self.next = Some(place),
                    Err(TryRecvError::Empty) => return Some(Ready::Pause),
                    Err(TryRecvError::Disconnected) => return None,
                },
                Err(RecvError) => return None,
            }
        }
    }
}

/// Whether a file holds tensors, by its name.
fn has_tensors(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "safetensors")
}

/// # Panics
/// Where the system has no thread left.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().name(name.into()).spawn(work);
    thread.expect("the system has no thread left to read images");
}

/// Decodes images until there is no other job.
fn decode_all(queue: &Mutex<Receiver<Job>>, description: &Description) {
    let mut room = Decoded::default();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { path, done }) = job else { return };
        // Whatever is wrong with a file, the others are read.
        let decoded = catch_unwind(AssertUnwindSafe(|| decode(&path, description, &mut room)));
        let decoded =
            decoded.unwrap_or_else(|panic| Err(TorchError::from_panic(panic.as_ref()).into()));
        let ready = match decoded {
            Ok(pixels) => Ready::Image(path, pixels),
            Err(error) => Ready::Unusable(path, error),
        };
        // Where nobody waits for it any more, the queue ends next.
        done.send(ready).ok();
    }
}

fn decode(path: &Path, description: &Description, room: &mut Decoded) -> Result<Pixels, Error> {
    let images::Square { pixels, side, size } = images::square(path, description, room)?;
    Ok(Pixels { normalized: images::normalized(&pixels, description), side, size })
}

/// A thread that ended without an answer.
fn lost(RecvError: RecvError) -> Ready {
    let error = TorchError::Internal("a thread that decodes images ended".to_string());
    Ready::Unusable(PathBuf::new(), error.into())
}
