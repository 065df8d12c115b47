//! The end of a rank that cannot go on: the others hear why, the launcher hears why, and nobody waits.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use torch_ext::distributed;

use super::{World, heartbeat};
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

impl World {
    /// From here on those who leave can say where to go on.
    pub(crate) fn in_folder(&self, path: &Path) {
        if let Some(links) = &self.links {
            links.folder.set(path);
        }
    }

    /// The run is over for all ranks alike: each may leave, for all have come to its end.
    pub(crate) fn part(&self) -> Result<(), Error> {
        let Some(links) = &self.links else { return Ok(()) };
        self.barrier()?;
        links.heartbeat.end();
        // Nobody looks for signs of life any more when the first one leaves, and maybe takes the store along.
        self.barrier()
    }

    /// This rank cannot go on for `error`. With several ranks the process ends here; alone it returns.
    pub(crate) fn fail(&self, error: &Error) {
        let Some(links) = &self.links else { return };
        let place = (self.rank, self.size);
        if let Error::Interrupted { .. } = error {
            // All end at the same step. Who is missing now has nothing to lose any more.
            drop(self.part());
            tracing::warn!("{error}");
            distributed::leave(error.exit_code().into());
        }
        if let Error::Distributed(failed) = error {
            // Another rank is the cause, as a rule; then the heartbeat's thread has the last word.
            match links.heartbeat.suspect(VERDICT) {
                Some(_) => loop {
                    std::thread::park();
                },
                None => leave_for(&failed.to_string(), place, &links.folder),
            }
        }
        let text = format!("{:#}", Chain(error));
        let who = heartbeat::introduction();
        let verdict = format!("rank {} of {} ({who}) ended: {text}", self.rank, self.size);
        tell_launcher(&text);
        tracing::error!("{text}");
        links.heartbeat.end();
        if let Err(error) = heartbeat::announce(&links.store, &verdict) {
            tracing::debug!("{error}");
        }
        // The store may be in this process: the others read the verdict there within one beat.
        std::thread::sleep(Duration::from_millis(1500));
        distributed::leave(error.exit_code().into());
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
fn tell_launcher(text: &str) {
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
struct Chain<'a>(&'a Error);

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
