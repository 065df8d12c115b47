//! Progress in a log file: a line for every tenth, sooner where tenths are long, none where all is over in a moment.

use std::time::Duration;

use crate::duration::clock;

/// Lines come no closer than this, so that what takes seconds says nothing.
const SHORTEST: Duration = Duration::from_secs(5);

/// Longest time between two lines.
const LONGEST: Duration = Duration::from_secs(30);

/// The lines so far.
#[derive(Debug)]
pub(super) struct Lines {
    /// The text before each line.
    pub(super) prefix: String,
    total: u64,
    /// Position and time of the first update: a resumed run does not begin at 0.
    first: Option<(u64, Duration)>,
    /// Tenths and time of the last line.
    said: (u64, Duration),
}

impl Lines {
    pub(super) fn new(total: u64) -> Self {
        Self { prefix: String::new(), total, first: None, said: (0, Duration::ZERO) }
    }

    /// The line that is due when `done` of the total are done `elapsed` after the start.
    pub(super) fn update(&mut self, done: u64, text: &str, elapsed: Duration) -> Option<String> {
        let (from, since) = *self.first.get_or_insert((done, elapsed));
        let tenths = done * 10 / self.total.max(1);
        let silence = elapsed.saturating_sub(self.said.1);
        if silence < LONGEST && (tenths == self.said.0 || silence < SHORTEST) {
            return None;
        }
        self.said = (tenths, elapsed);
        let percent = done * 100 / self.total.max(1);
        let mut parts = vec![self.prefix.clone(), format!("{percent} %"), text.to_string()];
        if done > from && done < self.total {
            let rate = (done - from) as f64 / (elapsed - since).as_secs_f64();
            parts.push(format!("{} left", clock((self.total - done) as f64 / rate)));
        }
        parts.retain(|part| !part.is_empty());
        Some(parts.join(" · "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds at which lines came, for a run that has `per_second` done each second.
    fn spoken(total: u64, per_second: u64) -> Vec<u64> {
        let mut lines = Lines::new(total);
        (1..=total / per_second)
            .filter(|second| {
                let elapsed = Duration::from_secs(*second);
                lines.update(second * per_second, "", elapsed).is_some()
            })
            .collect()
    }

    #[test]
    fn every_tenth_or_half_a_minute() {
        assert_eq!(spoken(100, 1), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
        let slow: Vec<u64> = (1..=20).map(|line| line * 30).collect();
        assert_eq!(spoken(600, 1), slow);
        assert_eq!(spoken(30, 1), [5, 10, 15, 20, 25, 30]);
        assert_eq!(spoken(4, 1), [0; 0], "what is over at once needs no line");
        assert_eq!(spoken(0, 1), [0; 0]);
    }

    #[test]
    fn a_line_says_where_it_is_and_what_is_left() {
        let mut lines = Lines::new(1000);
        lines.prefix = "epoch 1/2".into();
        assert_eq!(lines.update(5, "loss 2", Duration::ZERO), None);
        assert_eq!(
            lines.update(105, "loss 1", Duration::from_secs(10)).as_deref(),
            Some("epoch 1/2 · 10 % · loss 1 · 1:30 min left")
        );
        lines.prefix.clear();
        assert_eq!(
            lines.update(1000, "", Duration::from_secs(99)).as_deref(),
            Some("100 %"),
            "nothing is left"
        );
    }

    #[test]
    fn what_an_earlier_run_did_is_no_speed_of_this_one() {
        let mut lines = Lines::new(1000);
        lines.update(500, "", Duration::from_secs(1));
        assert_eq!(
            lines.update(600, "", Duration::from_secs(11)).as_deref(),
            Some("60 % · 0:40 min left")
        );
    }
}
