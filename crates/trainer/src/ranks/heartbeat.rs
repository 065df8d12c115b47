//! Signs of life: who is gone is said by name, within seconds, and nobody waits for it.
//!
//! Every rank counts up a number in the store, and looks whether its neighbour's does, in a thread that has a connection
//! of its own. Who finds its neighbour silent writes the verdict down, and all read it and leave. A rank that cannot
//! reach the store at all says so and leaves as well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use torch_ext::distributed::{DistributedError, Store};

use super::silence::{OWN_PAUSE, Silence};

/// Between two signs.
const BEAT: Duration = Duration::from_millis(500);
/// A neighbour that is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// The same, once something failed that a peer's end would explain.
const SUSPICION: Duration = Duration::from_secs(2);
/// Rounds in which the verdict of whoever was first to claim one is waited for.
const CLAIMS: u32 = 3;

/// What the threads share.
struct Shared {
    rank: usize,
    /// Every rank's host and process, for people.
    who: Vec<String>,
    /// Who holds the store, for people.
    keeper: String,
    silence: Silence,
    /// Something failed that a peer's end would explain.
    suspects: AtomicBool,
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
        self.shared.silence.end();
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
        let mut claims = 0;
        loop {
            if self.silence.ended() {
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
                Err(error) => return Some(format!("{} is gone: {error}", self.keeper)),
            };
            self.silence.answer();
            if let Some(verdict) = verdict {
                return Some(String::from_utf8_lossy(&verdict).into_owned());
            }
            if count != seen.0 {
                seen = (count, Instant::now());
            }
            let patience = match self.suspects.load(Ordering::SeqCst) {
                true => SUSPICION,
                false => SILENCE,
            };
            if seen.1.elapsed() > patience {
                let verdict = self.silent(next, patience);
                claims += 1;
                // Whoever was first is right, and this rank reads it in the next round, unless that one died over it.
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

    /// Says `verdict`, unless another thread has the last word: one that said its own, or that ends the run.
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

/// What a rank counts up.
fn beat(rank: usize) -> String {
    format!("beat/{rank}")
}

/// A thread that ends with the run or with the process.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().name(name.to_string());
    // Nobody waits for it.
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

    /// Rank 0 of two, and what it hears.
    fn begun(host: &Store) -> (Heartbeat, mpsc::Receiver<String>) {
        let address = StoreAddress { host: "127.0.0.1".to_string(), port: host.port() };
        let beats = Store::tcp(&address, StoreRole::Client, Duration::from_secs(5)).unwrap();
        let (said, heard) = mpsc::channel();
        let who = ["own", "other"].map(str::to_string).into();
        let over = move |verdict: &str| said.send(verdict.to_string()).unwrap();
        (Heartbeat::begin(beats, 0, who, "the store".to_string(), over).unwrap(), heard)
    }

    /// What it hears of a rank 1 that never gives a sign, and after how long.
    fn verdict(prepare: impl Fn(&Store)) -> (String, Duration) {
        let host = store();
        prepare(&host);
        let since = Instant::now();
        let (_heartbeat, heard) = begun(&host);
        (heard.recv_timeout(Duration::from_secs(20)).unwrap(), since.elapsed())
    }

    #[test]
    fn who_gives_no_sign_is_named_in_time() {
        let (said, after) = verdict(|_| {});
        assert!(
            said.starts_with("rank 1 of 2 (other) has given no sign of life for 5 s"),
            "{said}"
        );
        assert!(after < Duration::from_secs(8), "{after:?}");
    }

    #[test]
    fn the_first_verdict_is_the_one_that_is_heard() {
        let (said, after) = verdict(|store| announce(store, "rank 1 ended: why").unwrap());
        assert_eq!(said, "rank 1 ended: why");
        assert!(after < Duration::from_secs(2), "{after:?}");
    }

    /// Whoever claimed the verdict died over it.
    #[test]
    fn a_verdict_that_nobody_wrote_down_is_not_waited_for() {
        let (said, after) = verdict(|store| assert_eq!(store.add("verdict/claims", 1), Ok(1)));
        assert!(said.starts_with("rank 1 of 2 (other)"), "{said}");
        assert!(after < Duration::from_secs(10), "{after:?}");
    }

    #[test]
    fn who_ends_the_run_has_the_last_word() {
        let host = store();
        let (heartbeat, heard) = begun(&host);
        heartbeat.end();
        announce(&host, "my own").unwrap();
        heard.recv_timeout(Duration::from_secs(3)).unwrap_err();
    }
}
