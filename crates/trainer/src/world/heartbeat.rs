//! Signs of life: who is gone is said by name, within seconds, and nobody waits for it.
//!
//! Every rank counts up a number in the store, and looks whether its neighbour's does, in a thread that has a connection
//! of its own. Who finds its neighbour silent writes the verdict down, and all read it and leave. A rank that cannot
//! reach the store at all says so and leaves as well.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use torch_ext::distributed::{DistributedError, Store};

/// Between two signs.
const BEAT: Duration = Duration::from_millis(500);
/// A neighbour that is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// The same, once something failed that a peer's end would explain.
const SUSPICION: Duration = Duration::from_secs(2);
/// A store that does not answer for so long is out of reach.
const NO_ANSWER: Duration = Duration::from_secs(7);
/// A look that comes so late says that this process itself was stopped, not that others are silent.
const OWN_PAUSE: Duration = Duration::from_secs(2);

/// Who is who, for people: the host and the process of a rank.
pub(super) fn introduction() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "an unnamed host",
        host => host,
    };
    format!("{host}, process {}", std::process::id())
}

/// What the threads share.
struct Shared {
    rank: usize,
    /// Every rank's introduction.
    who: Vec<String>,
    /// Who holds the store, for people.
    keeper: String,
    begun: Instant,
    /// Milliseconds after `begun` at which the store answered last.
    answered: AtomicU64,
    /// Something failed that a peer's end would explain.
    suspects: AtomicBool,
    /// All are about to leave, each when it likes.
    ending: AtomicBool,
    /// Why the run is over.
    verdict: Mutex<Option<String>>,
}

/// The threads of a rank that give and watch for signs of life.
pub(super) struct Heartbeat {
    shared: Arc<Shared>,
}

impl Heartbeat {
    /// Begins, at the same time on all ranks. `store` is this thread's alone; `keeper` says who holds it, and `who` is who
    /// takes part, by rank. `over` hears the verdict, from a thread of its own, and need not return.
    pub(super) fn begin(
        store: Store,
        rank: usize,
        who: Vec<String>,
        keeper: String,
        over: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, DistributedError> {
        store.add(&beat(rank), 1)?;
        let shared = Arc::new(Shared {
            rank,
            who,
            keeper,
            begun: Instant::now(),
            answered: AtomicU64::new(0),
            suspects: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            verdict: Mutex::new(None),
        });
        let over = Arc::new(over);
        let (beats, heard) = (Arc::clone(&shared), Arc::clone(&over));
        spawn("heartbeat", move || {
            if let Some(verdict) = beats.beat(&store) {
                beats.pass(&verdict, &*heard);
            }
        });
        let waits = Arc::clone(&shared);
        spawn("store-watch", move || {
            if let Some(verdict) = waits.wait_for_silence() {
                waits.pass(&verdict, &*over);
            }
        });
        Ok(Self { shared })
    }

    /// Something failed that a peer's end would explain: the verdict comes soon if that is what it was.
    pub(super) fn suspect(&self, patience: Duration) -> Option<String> {
        self.shared.suspects.store(true, Ordering::SeqCst);
        let until = Instant::now() + patience;
        loop {
            let verdict = self.shared.lock().clone();
            if verdict.is_some() || Instant::now() > until {
                return verdict;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// From now on nobody is missed: ranks leave when they like.
    pub(super) fn end(&self) {
        self.shared.ending.store(true, Ordering::SeqCst);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.end();
    }
}

/// Writes down that the run is over, and why; the first to do so is who is heard.
pub(super) fn announce(store: &Store, verdict: &str) -> Result<(), DistributedError> {
    if store.add("verdict/claims", 1)? == 1 {
        store.set("verdict/text", verdict.as_bytes())?;
    }
    Ok(())
}

impl Shared {
    /// Gives signs and looks for the neighbour's until the run is over. `Some` with the reason, if there is one.
    fn beat(&self, store: &Store) -> Option<String> {
        let (own, next) = (self.rank, (self.rank + 1) % self.who.len());
        let mut seen = (0, Instant::now());
        let mut looked = Instant::now();
        loop {
            if self.ending.load(Ordering::SeqCst) {
                return None;
            }
            let look = || -> Result<(i64, Option<Vec<u8>>), DistributedError> {
                store.add(&beat(own), 1)?;
                let count = store.add(&beat(next), 0)?;
                let over = store.has("verdict/text")?;
                Ok((count, over.then(|| store.get("verdict/text")).transpose()?))
            };
            let (count, verdict) = match look() {
                Ok(found) => found,
                Err(_) if self.ending.load(Ordering::SeqCst) => return None,
                Err(error) => return Some(format!("{} is gone: {error}", self.keeper)),
            };
            self.answered.store(self.begun.elapsed().as_millis() as u64, Ordering::SeqCst);
            if let Some(verdict) = verdict {
                return Some(String::from_utf8_lossy(&verdict).into_owned());
            }
            if count != seen.0 || looked.elapsed() > OWN_PAUSE {
                seen = (count, Instant::now());
            }
            looked = Instant::now();
            let patience = match self.suspects.load(Ordering::SeqCst) {
                true => SUSPICION,
                false => SILENCE,
            };
            if seen.1.elapsed() > patience {
                let verdict = self.silent(next, patience);
                // Whoever was first is right; this rank reads it in the next round.
                if announce(store, &verdict).is_err() {
                    return Some(verdict);
                }
                continue;
            }
            thread::sleep(BEAT);
        }
    }

    fn silent(&self, rank: usize, patience: Duration) -> String {
        format!(
            "rank {rank} of {} ({}) has given no sign of life for {} s: it was killed or stopped, or the network to it is \
             cut",
            self.who.len(),
            self.who[rank],
            patience.as_secs()
        )
    }

    /// Returns when the store has not answered for too long, unless the run is over by then.
    fn wait_for_silence(&self) -> Option<String> {
        let mut looked = Instant::now();
        let mut awake_since = Instant::now();
        loop {
            thread::sleep(BEAT);
            if self.ending.load(Ordering::SeqCst) || self.lock().is_some() {
                return None;
            }
            if looked.elapsed() > OWN_PAUSE {
                awake_since = Instant::now();
            }
            looked = Instant::now();
            let answered = Duration::from_millis(self.answered.load(Ordering::SeqCst));
            let silence = self.begun.elapsed().saturating_sub(answered).min(awake_since.elapsed());
            if silence > NO_ANSWER {
                return Some(format!(
                    "{} has not answered for {} s: it was stopped, or the network to it is cut",
                    self.keeper,
                    silence.as_secs()
                ));
            }
        }
    }

    fn pass(&self, verdict: &str, over: &dyn Fn(&str)) {
        {
            let mut known = self.lock();
            if known.is_some() {
                return;
            }
            *known = Some(verdict.to_string());
        }
        over(verdict);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a rank counts up.
fn beat(rank: usize) -> String {
    format!("beat/{rank}")
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().name(name.to_string());
    // The thread ends with the run or with the process; nobody waits for it.
    drop(thread.spawn(work).expect("the system has a thread left"));
}
