//! A network that is timed layer by layer, and the medians over several passes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tch::{Device, Tensor};
use xception::{Hook, Pass, Xception};

use crate::learner::{Network, Stage};

/// A network that writes to a log when each of its layers is done, forward and backward.
pub(super) struct Watched {
    network: Xception,
    /// The name of the head, which has no feature map for a hook.
    head: &'static str,
    log: Log,
}

impl Watched {
    /// Writes to `log` for every layer of `network`, whose head is called `head`.
    pub(super) fn new(network: Xception, head: &'static str, log: &Log) -> Self {
        Self { network, head, log: log.clone() }
    }
}

impl Network for Watched {
    fn features(&self, images: &Tensor, train: bool) -> Tensor {
        self.network.features_with_hook(images, train, &self.log.hook())
    }

    fn logits(&self, features: &Tensor) -> Tensor {
        self.network.head_t(features, true)
    }

    fn device(&self) -> Device {
        self.network.device()
    }

    /// The head's row includes the loss.
    fn finished(&self, stage: Stage) {
        match stage {
            Stage::Forward => {
                self.log.note(self.head, Pass::Forward);
                self.log.note(self.head, Pass::Backward);
            }
            Stage::Backward => self.log.notes().backward_end = Some(Instant::now()),
        }
    }
}

/// The times of a layer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LayerTime {
    pub(super) name: String,
    /// Seconds of its forward pass.
    pub(super) forward: f64,
    /// Seconds of its backward pass, in training.
    pub(super) backward: Option<f64>,
}

/// The times that were noted in one pass over the network.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    /// The layers that were done, in order, and when.
    layers: Vec<(String, Pass, Instant)>,
    backward_end: Option<Instant>,
}

impl Log {
    /// A hook that writes to this log.
    pub(super) fn hook(&self) -> Hook {
        let log = self.clone();
        Hook::new(move |name, pass| log.note(name, pass))
    }

    fn note(&self, name: &str, pass: Pass) {
        self.notes().layers.push((name.to_string(), pass, Instant::now()));
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the backward pass, if there was one; the log then forgets it.
    pub(super) fn take_backward_end(&self) -> Option<Instant> {
        self.notes().backward_end.take()
    }

    /// The times of a pass that began at `started` and ended at `ended`; the log is empty afterwards.
    pub(super) fn times(&self, started: Instant, ended: Instant) -> Vec<LayerTime> {
        let noted = std::mem::take(&mut self.notes().layers);
        let (mut times, mut last) = (Vec::new(), started);
        for (name, _, at) in noted.iter().filter(|(_, pass, _)| *pass == Pass::Forward) {
            let forward = (*at - last).as_secs_f64();
            times.push(LayerTime { name: name.clone(), forward, backward: None });
            last = *at;
        }
        // The backward pass of a layer is noted when it begins, and ends when the next one begins. A layer that is used
        // several times comes last use first.
        let begun: Vec<_> = noted.iter().filter(|(_, pass, _)| *pass == Pass::Backward).collect();
        let ends = begun.iter().skip(1).map(|(_, _, at)| *at).chain([ended]);
        for ((name, _, at), end) in begun.iter().zip(ends) {
            let waits = |time: &&mut LayerTime| time.name == *name && time.backward.is_none();
            if let Some(time) = times.iter_mut().rev().find(waits) {
                time.backward = Some((end - *at).as_secs_f64());
            }
        }
        times
    }
}

/// Layer by layer, the forward times of all parts of a batch together.
pub(super) fn sums(parts: impl Iterator<Item = Vec<LayerTime>>) -> Vec<LayerTime> {
    let add = |mut sums: Vec<LayerTime>, part: Vec<LayerTime>| {
        sums.iter_mut().zip(part).for_each(|(sum, part)| sum.forward += part.forward);
        sums
    };
    parts.reduce(add).unwrap_or_default()
}

/// Layer by layer, the median of several passes.
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

    /// A log of layers that were done so many milliseconds after `started`.
    fn log(started: Instant, noted: &[(&str, Pass, u64)]) -> Log {
        let at = |ms: u64| started + Duration::from_millis(ms);
        let noted = noted.iter().map(|&(name, pass, ms)| (name.to_string(), pass, at(ms)));
        let notes = Notes { layers: noted.collect(), backward_end: None };
        Log(Arc::new(Mutex::new(notes)))
    }

    #[test]
    fn each_layer_gets_the_time_to_the_next() {
        use Pass::{Backward, Forward};
        let started = Instant::now();
        let noted = [
            ("conv1", Forward, 2),
            ("twice", Forward, 5),
            ("twice", Forward, 9),
            ("fc", Forward, 10),
            ("fc", Backward, 11),
            ("twice", Backward, 13),
            ("twice", Backward, 20),
            ("conv1", Backward, 30),
        ];
        let times = log(started, &noted).times(started, started + Duration::from_millis(32));
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
