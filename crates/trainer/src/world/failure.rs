//! The end of a rank that cannot go on: the others hear why, the launcher hears why, and nobody waits.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use torch_ext::distributed::{self, DistributedError, Store};

use super::World;
use super::heartbeat::{self, Heartbeat};
use super::rendezvous::Meeting;
use crate::Error;

/// Where torchrun looks for what went wrong.
const ERROR_FILE: &str = "TORCHELASTIC_ERROR_FILE";
/// How long a failed operation waits for the word on who is gone: a little longer than that takes.
const VERDICT: Duration = Duration::from_secs(8);

/// The run's folder, for whoever has to tell how to go on.
#[derive(Debug, Clone, Default)]
pub(super) struct Folder(Arc<Mutex<Option<PathBuf>>>);

impl Folder {
    fn set(&self, path: &Path) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_path_buf());
    }

    fn hint(&self) -> String {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(path) => {
                format!(
                    "; go on from the last checkpoint with `xception train --resume {}`",
                    path.display()
                )
            }
            None => String::new(),
        }
    }
}

/// What a rank leaves by, once it has met the others.
pub(super) struct Exit {
    rank: usize,
    world_size: usize,
    /// Where the others hear of it.
    store: Store,
    pub(super) heartbeat: Heartbeat,
    /// The run's folder, once there is one, for those who want to go on.
    folder: Folder,
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
        let folder = Folder::default();
        let (run, place) = (folder.clone(), (rank, world_size));
        let over = move |verdict: &str| leave_for(verdict, place, &run);
        let who = meeting.attendees.iter().map(|attendee| attendee.who.clone()).collect();
        let heartbeat = Heartbeat::begin(beats, rank, who, keeper, over)?;
        Ok(Self { rank, world_size, store, heartbeat, folder })
    }

    /// This rank cannot go on for `error`, and the process ends here.
    pub(super) fn fail(&self, error: &Error) -> ! {
        let mut text = Chain(error).to_string();
        let mut code = error.exit_code();
        if let Error::Distributed(failed) = error {
            // Another rank is the cause, as a rule; then the heartbeat's thread has the last word.
            if self.heartbeat.suspect(VERDICT).is_some() {
                loop {
                    std::thread::park();
                }
            }
            text = format!("{failed}{}", self.folder.hint());
            code = Error::PEER_FAILED;
        }
        let who = heartbeat::introduction();
        let verdict = format!("rank {} of {} ({who}) ended: {text}", self.rank, self.world_size);
        tell_launcher(&text);
        tracing::error!("{text}");
        self.heartbeat.end();
        if let Err(error) = heartbeat::announce(&self.store, &verdict) {
            tracing::debug!("{error}");
        }
        // The store may be in this process: the others read the verdict there within one beat.
        std::thread::sleep(Duration::from_millis(1500));
        distributed::leave(code.into());
    }
}

impl World {
    /// From here on those who leave can say where to go on.
    pub(crate) fn in_folder(&self, path: &Path) {
        if let Some(links) = &self.links {
            links.exit.folder.set(path);
        }
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
        match (&self.links, error) {
            (None, _) => tell_launcher(&Chain(error).to_string()),
            (Some(_), Error::Interrupted { .. }) => {
                // All end at the same step. Who is missing now has nothing to lose any more.
                drop(self.part());
                tracing::warn!("{error}");
                distributed::leave(error.exit_code().into());
            }
            (Some(links), _) => links.exit.fail(error),
        }
    }
}

/// Ends this process because of another one.
pub(super) fn leave_for(verdict: &str, (rank, world_size): (usize, usize), folder: &Folder) -> ! {
    let text = format!("{verdict}{}", folder.hint());
    tell_launcher(&format!("rank {rank} of {world_size} left: {verdict}"));
    tracing::error!("{text}");
    if rank == 0 {
        // As above: rank 0 may hold the store.
        std::thread::sleep(Duration::from_millis(1500));
    }
    distributed::leave(Error::PEER_FAILED.into())
}

/// Makes `text` what torchrun reports.
pub(super) fn tell_launcher(text: &str) {
    let Some(path) = std::env::var_os(ERROR_FILE).filter(|path| !path.is_empty()) else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // With a "py_callstack", which Python's ranks have, torchrun would show that in place of the message.
    let details = json!({ "timestamp": now.to_string() });
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
