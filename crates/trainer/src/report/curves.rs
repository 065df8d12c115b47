//! Reads `metrics.jsonl`. It tolerates half a line, which a killed run leaves, and steps that a resumed run logged
//! twice.

use std::collections::BTreeMap;

use serde_json::Value;

/// Keys of a line that are no measured values.
const PLACE: [&str; 3] = ["time", "step", "epoch"];
/// Most points of a curve; more cannot be distinguished on a page.
const MOST_POINTS: usize = 400;

/// A measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// Counted from 1 over the whole run.
    pub(super) step: u64,
    /// Counted from 1.
    pub(super) epoch: u64,
    /// NaN where the file has null, because the value was not finite.
    pub(super) value: f64,
}

/// Everything that was measured along a run, by tag.
#[derive(Debug, Default)]
pub(super) struct Curves {
    by_tag: BTreeMap<String, Vec<Point>>,
    /// Seconds since 1970 of the first and the last line.
    times: Option<(f64, f64)>,
    /// Lines that are no JSON object with a step.
    pub(super) unreadable: usize,
}

impl Curves {
    /// Reads the text of the file.
    pub(super) fn read(text: &str) -> Self {
        let mut curves = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if curves.read_line(line).is_none() {
                curves.unreadable += 1;
            }
        }
        curves
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let Value::Object(line) = serde_json::from_str(line).ok()? else { return None };
        let step = line.get("step")?.as_u64()?;
        let epoch = line.get("epoch").and_then(Value::as_u64).unwrap_or(0);
        if let Some(time) = line.get("time").and_then(Value::as_f64) {
            self.times = Some((self.times.map_or(time, |(first, _)| first), time));
        }
        for (tag, value) in line.iter().filter(|(key, _)| !PLACE.contains(&key.as_str())) {
            let value = match value {
                Value::Null => f64::NAN,
                value => value.as_f64()?,
            };
            let points = self.by_tag.entry(tag.clone()).or_default();
            // A resumed run repeats some steps. The later values belong to its weights.
            while points.last().is_some_and(|last| last.step >= step) {
                points.pop();
            }
            points.push(Point { step, epoch, value });
        }
        Some(())
    }

    /// The points of `tag`, in order.
    pub(super) fn points(&self, tag: &str) -> &[Point] {
        self.by_tag.get(tag).map_or(&[], Vec::as_slice)
    }

    /// The last point of `tag`.
    pub(super) fn last(&self, tag: &str) -> Option<&Point> {
        self.points(tag).last()
    }

    /// The best finite point of `tag`, the first of equals.
    pub(super) fn largest(&self, tag: &str) -> Option<&Point> {
        let finite = self.points(tag).iter().filter(|point| point.value.is_finite());
        finite.reduce(|best, point| if point.value > best.value { point } else { best })
    }

    /// The median of the finite values of `tag`.
    pub(super) fn median(&self, tag: &str) -> Option<f64> {
        let points = self.points(tag).iter().map(|point| point.value);
        let mut values: Vec<f64> = points.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// Values that are null in the file.
    pub(super) fn not_finite(&self) -> usize {
        self.by_tag.values().flatten().filter(|point| !point.value.is_finite()).count()
    }

    /// Steps of an epoch, known once one has been measured.
    pub(super) fn steps_per_epoch(&self) -> Option<f64> {
        let point = self.points("val/acc1").iter().find(|point| point.epoch > 0)?;
        Some(point.step as f64 / point.epoch as f64)
    }

    /// Seconds from the first line to the last.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.times.map(|(first, last)| last - first)
    }

    /// The time of the last line, in seconds since 1970.
    pub(super) fn last_time(&self) -> Option<f64> {
        self.times.map(|(_, last)| last)
    }

    /// The points of `tag` but those that are means over much fewer steps than others, as the last line of an epoch may be:
    /// they would jump.
    fn whole_windows(&self, tag: &str) -> Vec<Point> {
        let points = self.points(tag);
        let starts = std::iter::once(0).chain(points.iter().map(|point| point.step));
        let windows: Vec<u64> =
            points.iter().zip(starts).map(|(point, start)| point.step - start).collect();
        let mut sorted = windows.clone();
        sorted.sort_unstable();
        let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        let kept = points.iter().zip(windows).filter(|(_, window)| window * 2 >= usual);
        kept.map(|(point, _)| *point).collect()
    }

    /// `(step, value)` of `tag`, thinned: where there are too many points, the mean of each few stands at their last
    /// step. A value that is not finite makes its mean NaN, and so stays visible as a gap.
    pub(super) fn thinned(&self, tag: &str) -> Vec<(f64, f64)> {
        let points = self.whole_windows(tag);
        let few = points.len().div_ceil(MOST_POINTS).max(1);
        let mean = |chunk: &[Point]| {
            let sum: f64 = chunk.iter().map(|point| point.value).sum();
            (chunk[chunk.len() - 1].step as f64, sum / chunk.len() as f64)
        };
        points.chunks(few).map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_run_leaves_what_can_be_read() {
        let curves = Curves::read(
            "{\"time\":1.5,\"step\":10,\"epoch\":1,\"train/loss\":2.5,\"lr\":0.1}\n\
             {\"time\":2.0,\"step\":20,\"epoch\":1,\"train/loss\":null}\n\
             [1]\n\n{\"step\":30,\"tr",
        );
        assert_eq!((curves.unreadable, curves.not_finite()), (2, 1));
        assert_eq!(curves.points("train/loss")[0], Point { step: 10, epoch: 1, value: 2.5 });
        assert!(curves.last("train/loss").unwrap().value.is_nan());
        assert_eq!(curves.points("lr").len(), 1);
        assert_eq!((curves.seconds(), curves.steps_per_epoch()), (Some(0.5), None));
        assert!(Curves::read("").points("train/loss").is_empty());
    }

    #[test]
    fn steps_that_were_done_again_count_once() {
        let line = |step: u64, loss: f64| {
            format!("{{\"step\":{step},\"epoch\":1,\"train/loss\":{loss}}}\n")
        };
        let text: String =
            [(1, 9.0), (2, 8.0), (3, 7.0), (2, 6.0), (3, 5.0)].map(|(s, l)| line(s, l)).concat();
        let curves = Curves::read(&text);
        let losses: Vec<f64> = curves.points("train/loss").iter().map(|p| p.value).collect();
        assert_eq!(losses, [9.0, 6.0, 5.0]);
    }

    #[test]
    fn a_long_run_is_thinned_to_means() {
        let text: String = (1..=1000)
            .map(|step| {
                let loss = if step == 500 { "null".to_string() } else { step.to_string() };
                format!("{{\"step\":{step},\"epoch\":1,\"train/loss\":{loss}}}\n")
            })
            .collect();
        let thinned = Curves::read(&text).thinned("train/loss");
        assert_eq!(thinned.len(), 334);
        assert_eq!(thinned[0], (3.0, 2.0));
        assert_eq!(thinned[333], (1000.0, 1000.0));
        assert_eq!(thinned.iter().filter(|(_, value)| value.is_nan()).count(), 1);
    }

    #[test]
    fn the_best_is_the_first_of_equals_and_never_nan() {
        let curves = Curves::read(
            "{\"step\":5,\"epoch\":1,\"val/acc1\":null}\n{\"step\":10,\"epoch\":2,\"val/acc1\":0.5}\n\
             {\"step\":15,\"epoch\":3,\"val/acc1\":0.5}",
        );
        assert_eq!(curves.largest("val/acc1").unwrap().epoch, 2);
        assert_eq!(curves.steps_per_epoch(), Some(5.0));
        assert_eq!(curves.median("val/acc1"), Some(0.5));
        assert_eq!(curves.median("lr"), None);
    }
}
