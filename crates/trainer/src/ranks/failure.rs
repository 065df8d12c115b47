//! The end of a rank that cannot go on: the others hear why, the launcher hears why, and nobody waits.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use torch_ext::distributed::{self, DistributedError, Store};

use super::heartbeat::{self, Heartbeat};
use super::rendezvous::{Attendee, Meeting};
use super::{World, lock};
use crate::Error;
use crate::console::log;

/// Where torchrun looks for what went wrong.
const ERROR_FILE: &str = "TORCHELASTIC_ERROR_FILE";
/// How long a failed operation waits for the word on who is gone: a little longer than that takes.
const VERDICT: Duration = Duration::from_secs(8);
/// How long the others need to read a verdict in the store, which may be in this process: some beats.
const NEWS: Duration = Duration::from_millis(1500);
/// How long rank 0 may go on to write a checkpoint when another rank is gone.
const SAVING: Duration = Duration::from_secs(60);

/// What whoever leaves has to know of the run.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Its folder, once there is one, for those who want to go on.
    folder: Mutex<Option<PathBuf>>,
    /// Held while a checkpoint is written: that needs nobody else.
    saving: Mutex<()>,
}

impl Run {
    fn hint(&self) -> String {
        match &*lock(&self.folder) {
            Some(path) => {
                let path = path.display();
                format!(
                    "; go on from the last checkpoint with `xception train --resume {path}` on every rank"
                )
            }
            None => String::new(),
        }
    }

    fn wait_for_checkpoint(&self) {
        let begun = Instant::now();
        while let Err(TryLockError::WouldBlock) = self.saving.try_lock()
            && begun.elapsed() < SAVING
        {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What a rank leaves by, once it has met the others.
pub(super) struct Exit {
    rank: usize,
    world_size: usize,
    /// This process, for people.
    who: String,
    /// Where the others hear of it.
    store: Arc<Store>,
    pub(super) heartbeat: Heartbeat,
    run: Arc<Run>,
}

impl Exit {
    /// From here on nobody waits for somebody who is dead. Both `stores` are the part of the store that is `meeting`'s, the
    /// second one by a connection for the heartbeat alone; `keeper` says who holds it.
    pub(super) fn begin(
        meeting: &Meeting,
        (rank, world_size): (usize, usize),
        [store, beats]: [Store; 2],
        keeper: String,
    ) -> Result<Self, DistributedError> {
        let run = Arc::<Run>::default();
        let (own, place) = (Arc::clone(&run), (rank, world_size));
        let over = move |verdict: &str| leave_for(verdict, place, &own);
        let all: Vec<String> = meeting.attendees.iter().map(Attendee::who).collect();
        let who = all[rank].clone();
        let heartbeat = Heartbeat::begin(beats, rank, all, keeper, over)?;
        Ok(Self { rank, world_size, who, store: Arc::new(store), heartbeat, run })
    }

    /// This rank cannot go on for `error`, and the process ends here.
    pub(super) fn fail(&self, error: &Error) -> ! {
        let Error::Distributed(failed) = error else {
            self.leave(Chain(error).to_string(), error.exit_code());
        };
        // Another rank is the cause, as a rule; then the heartbeat's thread has the last word.
        if self.heartbeat.suspect(VERDICT).is_some() {
            loop {
                thread::park();
            }
        }
        self.leave(format!("{failed}{}", self.run.hint()), Error::PEER_FAILED);
    }

    /// Ends this process for a reason of its own.
    fn leave(&self, text: String, code: u8) -> ! {
        self.heartbeat.end();
        tell_launcher(&text, Cause::ThisRank);
        tracing::error!("{text}");
        let Self { rank, world_size, who, .. } = self;
        let verdict = format!("rank {rank} of {world_size} ({who}) ended: {text}");
        let store = Arc::clone(&self.store);
        // In a thread of its own: a store that is out of reach would keep this one.
        heartbeat::spawn("last-words", move || {
            if let Err(error) = heartbeat::announce(&store, &verdict) {
                tracing::debug!("{error}");
            }
        });
        thread::sleep(NEWS);
        distributed::leave(code.into());
    }
}

impl World {
    /// From here on those who leave can say where to go on.
    pub(crate) fn in_folder(&self, path: &Path) {
        if let Some(links) = &self.links {
            *lock(&links.exit.run.folder) = Some(path.to_path_buf());
        }
    }

    /// Writes a checkpoint; that somebody else is gone meanwhile does not end the process before it is written.
    pub(crate) fn saving<T>(&self, write: impl FnOnce() -> T) -> T {
        let _held = self.links.as_ref().map(|links| lock(&links.exit.run.saving));
        write()
    }

    /// The run is over for all ranks alike: each may leave, for all have come to its end.
    pub(crate) fn part(&self) -> Result<(), Error> {
        let Some(links) = &self.links else { return Ok(()) };
        self.barrier()?;
        links.exit.heartbeat.end();
        // Nobody looks for signs of life any more when the first one leaves, and maybe takes the store along.
        self.barrier()
    }

    /// This rank cannot go on for `error`. With several ranks the process ends here; alone it returns.
    pub(crate) fn fail(&self, error: &Error) {
        let Some(links) = &self.links else {
            return tell_launcher(&Chain(error).to_string(), Cause::ThisRank);
        };
        if !error.is_of_all_ranks() {
            links.exit.fail(error);
        }
        // All end at the same step, each by the same error. Who is missing now has nothing to lose any more.
        drop(self.part());
        match error {
            Error::Interrupted { .. } if links.is_seen => log::aloud(&error.to_string()),
            Error::Interrupted { .. } => tracing::warn!("{error}"),
            _ => {
                tell_launcher(&Chain(error).to_string(), Cause::ThisRank);
                tracing::error!("{}", Chain(error));
            }
        }
        distributed::leave(error.exit_code().into());
    }
}

/// Ends this process because of another one.
pub(super) fn leave_for(verdict: &str, (rank, world_size): (usize, usize), run: &Run) -> ! {
    let text = format!("{verdict}{}", run.hint());
    if rank > 0 {
        // Whatever becomes of its last words: its log may be on a disk that is cut off as well.
        heartbeat::spawn("leave", || {
            thread::sleep(NEWS);
            distributed::leave(Error::PEER_FAILED.into())
        });
    }
    tell_launcher(&format!("rank {rank} of {world_size} left: {verdict}"), Cause::AnotherRank);
    tracing::error!("{text}");
    if rank == 0 {
        run.wait_for_checkpoint();
        thread::sleep(NEWS);
    }
    distributed::leave(Error::PEER_FAILED.into())
}

/// Whose fault the end of a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    ThisRank,
    AnotherRank,
}

/// Makes `text` what torchrun reports. It takes the earliest for the root cause, in whole seconds.
pub(super) fn tell_launcher(text: &str, cause: Cause) {
    let Some(path) = std::env::var_os(ERROR_FILE).filter(|path| !path.is_empty()) else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // Who only leaves may well be the first to be gone.
    let time = now + if cause == Cause::AnotherRank { 60 } else { 0 };
    // With a "py_callstack", which Python's ranks have, torchrun would show that in place of the message.
    let details = json!({ "timestamp": time.to_string() });
    let document =
        json!({ "message": { "message": format!("xception: {text}"), "extraInfo": details } });
    if let Err(error) = crate::whole_file::write(Path::new(&path), &document.to_string()) {
        tracing::debug!("{error}");
    }
}

/// An error with its causes, for one line.
pub(super) struct Chain<'a>(pub(super) &'a Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = std::error::Error::source(self.0);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_that_is_being_written_is_waited_for() {
        let run = Arc::<Run>::default();
        let begun = Instant::now();
        run.wait_for_checkpoint();
        assert!(begun.elapsed() < Duration::from_millis(200));
        let writes = Arc::clone(&run);
        let held = writes.saving.lock().unwrap();
        let waits = thread::spawn(move || run.wait_for_checkpoint());
        thread::sleep(Duration::from_millis(300));
        assert!(!waits.is_finished());
        drop(held);
        waits.join().unwrap();
    }
}
