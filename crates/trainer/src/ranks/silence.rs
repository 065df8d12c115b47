//! A store that stopped answering: an operation on it would wait for as long as TCP does, which is a quarter of an hour.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// A store that does not answer for so long is out of reach.
const NO_ANSWER: Duration = Duration::from_secs(7);
/// A look that comes so late says that this process itself was stopped, not that others are silent.
pub(super) const OWN_PAUSE: Duration = Duration::from_secs(2);

/// When a store answered last, told by who asks it to who watches.
pub(super) struct Silence {
    begun: Instant,
    /// Milliseconds after `begun`.
    answered: AtomicU64,
    over: AtomicBool,
}

impl Silence {
    /// Begins as if it had answered just now.
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), answered: AtomicU64::new(0), over: AtomicBool::new(false) }
    }

    /// It answered.
    pub(super) fn answer(&self) {
        self.answered.store(self.begun.elapsed().as_millis() as u64, Ordering::SeqCst);
    }

    /// Nobody asks it any more.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Whether [`Silence::end`] was called.
    pub(super) fn ended(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Returns what is to be said once the store has not answered for too long; nothing when nobody asks it any more.
    /// `keeper` is who holds it.
    pub(super) fn wait(&self, keeper: &str) -> Option<String> {
        let mut looked = Instant::now();
        let mut awake_since = Instant::now();
        loop {
            thread::sleep(LOOK);
            if self.ended() {
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
    fn only_a_store_that_is_asked_and_does_not_answer_is_missed() {
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
