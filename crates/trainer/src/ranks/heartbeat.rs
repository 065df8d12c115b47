//! Heartbeats: a rank that is gone is named within seconds, and no other waits for it.
//!
//! Every rank counts up a number in the store and checks whether its neighbour's number grows, in a thread with a
//! connection of its own. A rank that finds its neighbour silent writes a verdict down; all read it and leave. A rank that
//! cannot reach the store says so and leaves as well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use torch_ext::distributed::{DistributedError, Store};

use super::store_silence::{OWN_PAUSE, Silence};

/// Pause between two beats.
const BEAT: Duration = Duration::from_millis(500);
/// A neighbour that is silent for this long is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// The same, once an operation failed that the end of a peer would explain.
const SUSPICION: Duration = Duration::from_secs(2);
/// Rounds in which a rank waits for the verdict that another rank has claimed to write.
const CLAIMS: u32 = 3;

/// The state that the threads share.
struct Shared {
    rank: usize,
    /// Every rank's host and process, for messages.
    who: Vec<String>,
    /// The process that holds the store, for messages.
    keeper: String,
    silence: Silence,
    /// Whether an operation failed that the end of a peer would explain.
    suspects: AtomicBool,
    /// The reason why the run is over.
    verdict: Mutex<Option<String>>,
}

/// The threads of a rank that give heartbeats and watch for its neighbour's.
pub(super) struct Heartbeat {
    shared: Arc<Shared>,
}

impl Heartbeat {
    /// Begins, at the same time on all ranks. `store` is a connection for this heartbeat alone, `keeper` names the process
    /// that holds it, and `who` names every rank. `over` is called with the verdict, on a thread of its own, and need not
    /// return.
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
            silence: Silence::new(),
            suspects: AtomicBool::new(false),
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
            if let Some(verdict) = waits.silence.wait(&waits.keeper) {
                waits.pass(&verdict, &*over);
            }
        });
        Ok(Self { shared })
    }

    /// Reports that an operation failed which the end of a peer would explain. Returns the verdict if there is one within
    /// `patience`.
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

    /// Ends the heartbeats: from now on ranks may leave.
    pub(super) fn end(&self) {
        self.shared.silence.end();
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.end();
    }
}

/// Writes down that the run is over, and why. The first verdict counts.
pub(super) fn announce(store: &Store, verdict: &str) -> Result<(), DistributedError> {
    if store.add("verdict/claims", 1)? == 1 {
        store.set("verdict/text", verdict.as_bytes())?;
    }
    Ok(())
}

impl Shared {
    /// Beats and checks the neighbour's beats until the run is over. Returns the reason, if there is one.
    fn beat(&self, store: &Store) -> Option<String> {
        let (own, next) = (self.rank, (self.rank + 1) % self.who.len());
        let mut seen = (0, Instant::now());
        let mut claims = 0;
        loop {
            if self.silence.ended() {
                return None;
            }
            let exchange = || -> Result<(i64, Option<Vec<u8>>), DistributedError> {
                store.add(&beat(own), 1)?;
                let count = store.add(&beat(next), 0)?;
                let over = store.has("verdict/text")?;
                Ok((count, over.then(|| store.get("verdict/text")).transpose()?))
            };
            let (count, verdict) = match exchange() {
                Ok(found) => found,
                Err(error) => return Some(format!("{} is gone: {error}", self.keeper)),
            };
            self.silence.answer();
            if let Some(verdict) = verdict {
                return Some(String::from_utf8_lossy(&verdict).into_owned());
            }
            if count != seen.0 {
                seen = (count, Instant::now());
            }
            let patience = if self.suspects.load(Ordering::SeqCst) { SUSPICION } else { SILENCE };
            if seen.1.elapsed() > patience {
                let verdict = self.silent(next, patience);
                claims += 1;
                // The first verdict counts, and this rank reads it in the next round, unless its writer died meanwhile.
                if announce(store, &verdict).is_err() || claims > CLAIMS {
                    return Some(verdict);
                }
            }
            let asleep = Instant::now();
            thread::sleep(BEAT);
            if asleep.elapsed() > OWN_PAUSE {
                seen.1 = Instant::now();
            }
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

    /// Passes `verdict` on, unless another thread did so before, or the run has ended.
    fn pass(&self, verdict: &str, over: &dyn Fn(&str)) {
        {
            let mut known = self.lock();
            if self.silence.ended() {
                return;
            }
            *known = Some(verdict.to_string());
            self.silence.end();
        }
        over(verdict);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of the number that a rank counts up.
fn beat(rank: usize) -> String {
    format!("beat/{rank}")
}

/// A thread that ends with the run or with the process.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().name(name.to_string());
    // No thread joins it.
    drop(thread.spawn(work).expect("the system has a thread left"));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use torch_ext::distributed::{StoreAddress, StoreRole};

    use super::*;

    fn store() -> Store {
        let any = StoreAddress { host: "127.0.0.1".to_string(), port: 0 };
        Store::tcp(&any, StoreRole::Host, Duration::from_secs(5)).unwrap()
    }

    /// Rank 0 of two, and a channel with the verdicts that it passes on.
    fn begun(host: &Store) -> (Heartbeat, mpsc::Receiver<String>) {
        let address = StoreAddress { host: "127.0.0.1".to_string(), port: host.port() };
        let beats = Store::tcp(&address, StoreRole::Client, Duration::from_secs(5)).unwrap();
        let (said, heard) = mpsc::channel();
        let who = ["own", "other"].map(str::to_string).into();
        let over = move |verdict: &str| said.send(verdict.to_string()).unwrap();
        (Heartbeat::begin(beats, 0, who, "the store".to_string(), over).unwrap(), heard)
    }

    /// The verdict on a rank 1 that never beats, and the time until it came.
    fn verdict(prepare: impl Fn(&Store)) -> (String, Duration) {
        let host = store();
        prepare(&host);
        let since = Instant::now();
        let (_heartbeat, heard) = begun(&host);
        (heard.recv_timeout(Duration::from_secs(20)).unwrap(), since.elapsed())
    }

    #[test]
    fn a_silent_rank_is_named_in_time() {
        let (said, after) = verdict(|_| {});
        assert!(
            said.starts_with("rank 1 of 2 (other) has given no sign of life for 5 s"),
            "{said}"
        );
        assert!(after < Duration::from_secs(8), "{after:?}");
    }

    #[test]
    fn the_first_verdict_counts() {
        let (said, after) = verdict(|store| announce(store, "rank 1 ended: why").unwrap());
        assert_eq!(said, "rank 1 ended: why");
        assert!(after < Duration::from_secs(2), "{after:?}");
    }

    /// The rank that claimed the verdict died before it wrote it.
    #[test]
    fn a_verdict_that_was_claimed_and_never_written_is_not_waited_for() {
        let (said, after) = verdict(|store| assert_eq!(store.add("verdict/claims", 1), Ok(1)));
        assert!(said.starts_with("rank 1 of 2 (other)"), "{said}");
        assert!(after < Duration::from_secs(10), "{after:?}");
    }

    #[test]
    fn after_the_end_no_verdict_is_passed_on() {
        let host = store();
        let (heartbeat, heard) = begun(&host);
        heartbeat.end();
        announce(&host, "my own").unwrap();
        heard.recv_timeout(Duration::from_secs(3)).unwrap_err();
    }
}
