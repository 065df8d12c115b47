//! Timeouts and retries of a download, in one place so that tests use milliseconds.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Timeouts, attempts and pauses of one download.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the name lookup, and again for the connection.
    pub connect: Duration,
    /// Without a single byte, before the connection counts as dead.
    pub stall: Duration,
    /// The time in which a connection must bring [`Self::least`].
    pub window: Duration,
    /// Bytes in each window, without which the connection counts as dead: a server that sends one byte now and then would
    /// hold a download for ever.
    pub least: u64,
    /// Attempts in a row that bring nothing worthwhile.
    pub attempts: u32,
    /// As `attempts`, for a site that cannot even be reached; 1 where another source is at hand.
    pub attempts_to_connect: u32,
    /// New bytes that earn a download its attempts back.
    pub worthwhile: u64,
    /// Before the second attempt; doubles each time.
    pub first_pause: Duration,
    /// No pause is longer, whatever the server's `Retry-After` says.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            window: Duration::from_secs(60),
            least: 240 << 10,
            attempts: 5,
            attempts_to_connect: 3,
            worthwhile: 1 << 20,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// One quick attempt, for a download that nobody asked for.
    pub fn one_attempt() -> Self {
        Self {
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(15),
            attempts: 1,
            attempts_to_connect: 1,
            ..Self::default()
        }
    }

    /// As it is, but a site that cannot be reached is given up at once.
    pub fn with_another_source(self) -> Self {
        Self { attempts_to_connect: 1, ..self }
    }

    /// The pause after the `failures`th failure in a row (from 1): what the server asked for, else
    /// exponential back-off, half of it random so that many clients do not come back together.
    pub fn pause(&self, failures: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let jitter = RandomState::new().hash_one(failures) % 1024;
        let own = doubled.mul_f64(0.5 + jitter as f64 / 2048.0);
        asked.unwrap_or(own).min(self.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_with_jitter_up_to_the_cap() {
        let patience = Patience { longest_pause: Duration::from_secs(3), ..Patience::default() };
        for (failures, low, high) in [(1, 250, 500), (2, 500, 1000), (3, 1000, 2000)] {
            for _ in 0..100 {
                let pause = patience.pause(failures, None).as_millis();
                assert!((low..=high).contains(&pause), "{failures}: {pause} ms");
            }
        }
        assert_eq!(patience.pause(60, None), Duration::from_secs(3));
    }

    #[test]
    fn retry_after_is_honoured_and_capped() {
        let patience = Patience::default();
        assert_eq!(patience.pause(1, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(patience.pause(1, Some(Duration::from_secs(9999))), Duration::from_secs(60));
    }
}
