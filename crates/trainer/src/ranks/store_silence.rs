//! Detects a store that stopped answering: an operation on it would wait as long as TCP does, a quarter of an hour.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Pause between two checks.
const CHECK: Duration = Duration::from_millis(500);
/// A store that does not answer for this long is out of reach.
const NO_ANSWER: Duration = Duration::from_secs(7);
/// A check that comes this late means that this process itself was stopped, not that others are silent.
pub(super) const OWN_PAUSE: Duration = Duration::from_secs(2);

/// The time at which a store answered last: the thread that asks it writes it, another thread watches it.
pub(super) struct Silence {
    begun: Instant,
    /// Milliseconds after `begun`.
    answered: AtomicU64,
    over: AtomicBool,
}

impl Silence {
    /// Begins as if the store had answered just now.
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), answered: AtomicU64::new(0), over: AtomicBool::new(false) }
    }

    /// Notes that the store answered.
    pub(super) fn answer(&self) {
        self.answered.store(self.begun.elapsed().as_millis() as u64, Ordering::SeqCst);
    }

    /// Ends the watch: the store is no longer asked.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Whether [`Silence::end`] was called.
    pub(super) fn ended(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Waits until the store has not answered for too long, and returns the message that says so; `None` once the watch has
    /// ended. `keeper` is the process that holds the store.
    pub(super) fn wait(&self, keeper: &str) -> Option<String> {
        let mut checked = Instant::now();
        let mut awake_since = Instant::now();
        loop {
            thread::sleep(CHECK);
            if self.ended() {
                return None;
            }
            if checked.elapsed() > OWN_PAUSE {
                awake_since = Instant::now();
            }
            checked = Instant::now();
            let answered = Duration::from_millis(self.answered.load(Ordering::SeqCst));
            let silence = self.begun.elapsed().saturating_sub(answered).min(awake_since.elapsed());
            if silence > NO_ANSWER {
                return Some(format!(
                    "{keeper} has not answered for {} s: it was stopped, or the network to it is cut",
                    silence.as_secs()
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_store_that_is_asked_and_does_not_answer_is_reported() {
        let [answers, ends, falls_silent] = [(); 3].map(|()| Silence::new());
        thread::scope(|scope| {
            let missed = scope.spawn(|| falls_silent.wait("the keeper"));
            let waits = [&answers, &ends].map(|silence| scope.spawn(|| silence.wait("nobody")));
            ends.end();
            let missed = loop {
                answers.answer();
                if missed.is_finished() {
                    break missed.join().unwrap().unwrap();
                }
                thread::sleep(Duration::from_millis(100));
            };
            answers.end();
            assert!(missed.starts_with("the keeper has not answered for 7 s"), "{missed}");
            assert_eq!(waits.map(|waits| waits.join().unwrap()), [None, None]);
        });
    }
}
