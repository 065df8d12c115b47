//! The end of a rank that cannot continue: the others and the launcher are told why, and none waits for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use torch_ext::distributed::{self, DistributedError, Store};

use super::attendee::Attendee;
use super::heartbeat::{self, Heartbeat};
use super::rendezvous::Meeting;
use super::{Error, World, lock};
use crate::console::log;
use crate::exit_code::ExitCode;

/// The variable that names the file from which torchrun reads an error.
const ERROR_FILE: &str = "TORCHELASTIC_ERROR_FILE";
/// The time that a failed operation waits for the verdict on which rank is gone: a little longer than that takes.
const VERDICT: Duration = Duration::from_secs(8);
/// The time that the others need to read a verdict in the store, which this process may hold: some beats.
const READING: Duration = Duration::from_millis(1500);
/// The time for which rank 0 may continue to write a checkpoint when another rank is gone.
const SAVING: Duration = Duration::from_secs(60);

/// The facts about the run that a leaving rank needs.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Its folder, once there is one, to be named in messages.
    folder: Mutex<Option<PathBuf>>,
    /// Held while a checkpoint is written, which needs no other rank.
    saving: Mutex<()>,
}

impl Run {
    fn hint(&self) -> String {
        match &*lock(&self.folder) {
            Some(path) => {
                let path = path.display();
                format!(
                    "; resume from the last checkpoint with `xception train --resume {path}` on every rank"
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

/// The way out of a rank that has met the others.
pub(super) struct Exit {
    rank: usize,
    world_size: usize,
    /// This process, for messages.
    who: String,
    /// The store from which the others read the verdict.
    store: Arc<Store>,
    pub(super) heartbeat: Heartbeat,
    run: Arc<Run>,
}

impl Exit {
    /// Starts the heartbeat: from here on, dead ranks are detected. Both `stores` are `meeting`'s part of the store, the
    /// second one by a connection for the heartbeat alone; `keeper` names the process that holds it.
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

    /// Ends this process because of `failure`.
    pub(super) fn fail(&self, failure: &Failure<'_>) -> ! {
        let text = Chain(failure.error).to_string();
        if failure.code != ExitCode::Peer {
            self.leave(text, failure.code);
        }
        // As a rule another rank is the cause; then the heartbeat's thread ends the process.
        if self.heartbeat.suspect(VERDICT).is_some() {
            loop {
                thread::park();
            }
        }
        self.leave(format!("{text}{}", self.run.hint()), failure.code);
    }

    /// Ends this process for a reason of its own.
    fn leave(&self, text: String, code: ExitCode) -> ! {
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
        thread::sleep(READING);
        distributed::leave(code.number().into());
    }
}

impl World {
    /// Sets the folder of the run, which a rank that fails names in its message.
    pub(crate) fn set_folder(&self, path: &Path) {
        if let Some(links) = &self.links {
            *lock(&links.exit.run.folder) = Some(path.to_path_buf());
        }
    }

    /// Writes a checkpoint. If another rank goes meanwhile, the process does not end before it is written.
    pub(crate) fn saving<T>(&self, write: impl FnOnce() -> T) -> T {
        let _held = self.links.as_ref().map(|links| lock(&links.exit.run.saving));
        write()
    }

    /// Ends the run on all ranks: each may leave once all have come to its end.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        let Some(links) = &self.links else { return Ok(()) };
        self.barrier()?;
        links.exit.heartbeat.end();
        // The first rank to leave may take the store along; by now no heartbeat reads it any more.
        self.barrier()
    }

    /// Reports that this rank ends because of `failure`. With several ranks the process ends here; one rank alone returns.
    pub(crate) fn fail(&self, failure: &Failure<'_>) {
        let text = Chain(failure.error).to_string();
        let Some(links) = &self.links else {
            return tell_launcher(&text, Cause::ThisRank);
        };
        if failure.scope == Scope::ThisRank {
            links.exit.fail(failure);
        }
        // All end at the same step, each by the same error. A rank that is missing now has nothing left to lose.
        drop(self.finish());
        match failure.code {
            ExitCode::Interrupted(_) if links.is_seen => log::aloud(&text),
            ExitCode::Interrupted(_) => tracing::warn!("{text}"),
            _ => {
                tell_launcher(&text, Cause::ThisRank);
                tracing::error!("{text}");
            }
        }
        distributed::leave(failure.code.number().into());
    }
}

/// Ends this process because of another one.
pub(super) fn leave_for(verdict: &str, (rank, world_size): (usize, usize), run: &Run) -> ! {
    let text = format!("{verdict}{}", run.hint());
    if rank > 0 {
        // Leave also if the last messages cannot be written: the log may be on a disk that is cut off as well.
        heartbeat::spawn("leave", || {
            thread::sleep(READING);
            distributed::leave(ExitCode::Peer.number().into())
        });
    }
    tell_launcher(&format!("rank {rank} of {world_size} left: {verdict}"), Cause::AnotherRank);
    tracing::error!("{text}");
    if rank == 0 {
        run.wait_for_checkpoint();
        thread::sleep(READING);
    }
    distributed::leave(ExitCode::Peer.number().into())
}

/// An error as the other ranks and the launcher have to know it.
pub(crate) struct Failure<'a> {
    error: &'a dyn std::error::Error,
    code: ExitCode,
    scope: Scope,
}

/// The ranks that meet an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// This one; the others do not know of it.
    ThisRank,
    /// All of them, at the same step.
    AllRanks,
}

impl<'a> Failure<'a> {
    /// An error that ends this rank, and of which the others do not know.
    pub(crate) fn of_this_rank(error: &'a dyn std::error::Error, code: ExitCode) -> Self {
        Self { error, code, scope: Scope::ThisRank }
    }

    /// An error that every rank meets at the same step.
    pub(crate) fn of_all_ranks(error: &'a dyn std::error::Error, code: ExitCode) -> Self {
        Self { error, code, scope: Scope::AllRanks }
    }
}

impl Error {
    /// This error as the other ranks and the launcher have to know it.
    pub(super) fn failure(&self) -> Failure<'_> {
        Failure::of_this_rank(self, self.exit_code())
    }
}

/// The rank at fault when a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    ThisRank,
    AnotherRank,
}

/// Makes torchrun report `text`. torchrun takes the earliest report, in whole seconds, for the root cause.
pub(super) fn tell_launcher(text: &str, cause: Cause) {
    let Some(path) = std::env::var_os(ERROR_FILE).filter(|path| !path.is_empty()) else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // A rank that only leaves may well be the first to be gone.
    let time = now + if cause == Cause::AnotherRank { 60 } else { 0 };
    // With a "py_callstack", as Python's ranks have, torchrun would show that in place of the message.
    let details = json!({ "timestamp": time.to_string() });
    let document =
        json!({ "message": { "message": format!("xception: {text}"), "extraInfo": details } });
    if let Err(error) = crate::whole_file::write(Path::new(&path), &document.to_string()) {
        tracing::debug!("{error}");
    }
}

/// An error with its causes, for one line.
pub(super) struct Chain<'a>(pub(super) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
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
    fn a_checkpoint_in_progress_is_waited_for() {
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
