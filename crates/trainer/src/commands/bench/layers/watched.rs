//! The times of the layers, as a watcher hears of them: medians over several passes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use xception::{Pass, Watcher};

/// What a layer took.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LayerTime {
    pub(super) name: String,
    /// Seconds of its forward pass.
    pub(super) forward: f64,
    /// Seconds of its backward pass, in training.
    pub(super) backward: Option<f64>,
}

/// What was heard in one pass over the network, in order, and when.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<(String, Pass, Instant)>>>);

impl Log {
    /// A watcher that writes to this log.
    pub(super) fn watcher(&self) -> Watcher {
        let log = self.clone();
        Watcher::new(move |name, pass| log.note(name, pass))
    }

    /// As the watcher would.
    pub(super) fn note(&self, name: &str, pass: Pass) {
        self.notes().push((name.to_string(), pass, Instant::now()));
    }

    fn notes(&self) -> MutexGuard<'_, Vec<(String, Pass, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The times of a pass that began at `started` and ended at `ended`; the log is empty afterwards.
    pub(super) fn times(&self, started: Instant, ended: Instant) -> Vec<LayerTime> {
        let heard = std::mem::take(&mut *self.notes());
        let (mut times, mut last) = (Vec::new(), started);
        for (name, _, at) in heard.iter().filter(|(_, pass, _)| *pass == Pass::Forward) {
            let forward = (*at - last).as_secs_f64();
            times.push(LayerTime { name: name.clone(), forward, backward: None });
            last = *at;
        }
        // A backward pass is announced when it begins, and over when the next one does. A layer that is gone through
        // again and again comes last pass first.
        let begun: Vec<_> = heard.iter().filter(|(_, pass, _)| *pass == Pass::Backward).collect();
        let ends = begun.iter().skip(1).map(|(_, _, at)| *at).chain([ended]);
        for ((name, _, at), end) in begun.iter().zip(ends) {
            let ahead = |time: &&mut LayerTime| time.name == *name && time.backward.is_none();
            if let Some(time) = times.iter_mut().rev().find(ahead) {
                time.backward = Some((end - *at).as_secs_f64());
            }
        }
        times
    }
}

/// Layer by layer what all parts of a batch took, forward.
pub(super) fn sums(parts: impl Iterator<Item = Vec<LayerTime>>) -> Vec<LayerTime> {
    let add = |mut sums: Vec<LayerTime>, part: Vec<LayerTime>| {
        sums.iter_mut().zip(part).for_each(|(sum, part)| sum.forward += part.forward);
        sums
    };
    parts.reduce(add).unwrap_or_default()
}

/// Layer by layer the median of several passes.
pub(super) fn medians(passes: &[Vec<LayerTime>]) -> Vec<LayerTime> {
    let median = |mut seconds: Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied()
    };
    let layers = passes.first().map_or(0, Vec::len);
    (0..layers)
        .map(|layer| LayerTime {
            name: passes[0][layer].name.clone(),
            forward: median(passes.iter().map(|pass| pass[layer].forward).collect())
                .expect("a pass was timed"),
            backward: median(passes.iter().filter_map(|pass| pass[layer].backward).collect()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A log of what was heard so many milliseconds after `started`.
    fn log(started: Instant, heard: &[(&str, Pass, u64)]) -> Log {
        let at = |ms: u64| started + Duration::from_millis(ms);
        let heard = heard.iter().map(|&(name, pass, ms)| (name.to_string(), pass, at(ms)));
        Log(Arc::new(Mutex::new(heard.collect())))
    }

    #[test]
    fn each_layer_gets_the_time_to_the_next() {
        use Pass::{Backward, Forward};
        let started = Instant::now();
        let heard = [
            ("conv1", Forward, 2),
            ("twice", Forward, 5),
            ("twice", Forward, 9),
            ("fc", Forward, 10),
            ("fc", Backward, 11),
            ("twice", Backward, 13),
            ("twice", Backward, 20),
            ("conv1", Backward, 30),
        ];
        let times = log(started, &heard).times(started, started + Duration::from_millis(32));
        let rounded = times.iter().map(|time| {
            let milliseconds = |seconds: f64| (seconds * 1e3).round() as i64;
            (time.name.as_str(), milliseconds(time.forward), time.backward.map(milliseconds))
        });
        let expected = [
            ("conv1", 2, Some(2)),
            ("twice", 3, Some(10)),
            ("twice", 4, Some(7)),
            ("fc", 1, Some(2)),
        ];
        assert_eq!(rounded.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_parts_of_a_batch_add_up() {
        let part = |forward| vec![LayerTime { name: "fc".into(), forward, backward: None }];
        assert_eq!(sums([part(1.0), part(2.5)].into_iter()), part(3.5));
        assert_eq!(sums(std::iter::empty()), []);
    }

    #[test]
    fn one_slow_pass_does_not_show() {
        let pass = |forward, backward| vec![LayerTime { name: "fc".into(), forward, backward }];
        let passes = [pass(1.0, Some(2.0)), pass(9.0, Some(9.0)), pass(1.0, Some(2.0))];
        assert_eq!(medians(&passes), pass(1.0, Some(2.0)));
        assert_eq!(medians(&[pass(1.0, None)]), pass(1.0, None));
    }
}
