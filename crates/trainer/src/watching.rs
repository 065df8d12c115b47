//! What a run shows of itself while it goes on: `metrics.jsonl` for programs, `tb/` for TensorBoard.
//!
//! One place, so that the two always say the same.

mod grid;

use std::path::Path;

use datasets::Normalization;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::Error;
use crate::metrics::Metrics;
use crate::tensorboard::{EventWriter, Stamp, now};

/// The folder of a run that TensorBoard is pointed at.
const TENSORBOARD: &str = "tb";

/// The open files.
pub(crate) struct Watch {
    metrics: Metrics,
    events: EventWriter,
}

/// How far the event file was; a checkpoint keeps it, and [`Watch::resume`] goes on from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsMark {
    file: String,
    bytes: u64,
}

impl Watch {
    /// The new files of a run in `folder`.
    pub(crate) fn create(folder: &Path) -> Result<Self, Error> {
        let metrics = Metrics::create(&folder.join("metrics.jsonl"))?;
        Ok(Self { metrics, events: EventWriter::create(&folder.join(TENSORBOARD))? })
    }

    /// Numbers by tag.
    pub(crate) fn log(
        &mut self,
        step: u64,
        epoch: u64,
        values: &[(&str, f64)],
    ) -> Result<(), Error> {
        self.metrics.log(step, epoch, values)?;
        self.events.scalars(stamp(step), values)
    }

    /// What the network sees: `images`, `[N, 3, H, W]` and normalised, as one picture of many.
    pub(crate) fn samples(
        &mut self,
        step: u64,
        images: &Tensor,
        normalization: &Normalization,
    ) -> Result<(), Error> {
        let picture = tch::no_grad(|| grid::grid(images, normalization));
        self.events.image(stamp(step), "samples/train", &picture)
    }

    /// A histogram of every trainable variable of `store`, as `weights/<name>`.
    ///
    /// Brings them all to the CPU: once an epoch, not more often.
    pub(crate) fn weights(&mut self, step: u64, store: &VarStore) -> Result<(), Error> {
        let mut variables: Vec<(String, Tensor)> = store.variables().into_iter().collect();
        variables.retain(|(_, variable)| variable.requires_grad());
        variables.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, variable) in variables {
            let values = variable.detach().to_device(Device::Cpu).to_kind(Kind::Float);
            let values: Vec<f32> = Vec::try_from(values.contiguous().view(-1))?;
            self.events.histogram(stamp(step), &format!("weights/{name}"), &values)?;
        }
        Ok(())
    }
}

#[cfg_attr(not(test), expect(dead_code, reason = "no run goes on from a checkpoint yet"))]
impl Watch {
    /// Goes on where `mark` was taken: `metrics` where the caller cut them off, the events where this does.
    ///
    /// # Errors
    ///
    /// Those of [`EventWriter::reopen`].
    pub(crate) fn resume(
        metrics: Metrics,
        folder: &Path,
        mark: &EventsMark,
    ) -> Result<Self, Error> {
        let events = EventWriter::reopen(&folder.join(TENSORBOARD), &mark.file, mark.bytes)?;
        Ok(Self { metrics, events })
    }

    /// How far the events are, once the disk has them.
    pub(crate) fn mark(&self) -> Result<EventsMark, Error> {
        self.events.sync()?;
        Ok(EventsMark { file: self.events.name().to_string(), bytes: self.events.position() })
    }
}

fn stamp(step: u64) -> Stamp {
    Stamp { step, wall_time: now() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tch::nn::Init;

    use super::*;

    /// How often `text` stands in the event file.
    fn mentions(folder: &Path, mark: &EventsMark, text: &str) -> usize {
        let bytes = fs::read(folder.join("tb").join(&mark.file)).unwrap();
        bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
    }

    #[test]
    fn what_goes_to_one_file_goes_to_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::create(folder.path()).unwrap();
        watch.log(10, 1, &[("train/loss", 2.5), ("lr", 1e-3)]).unwrap();
        let text = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
        let mark = watch.mark().unwrap();
        for tag in ["train/loss", "lr"] {
            assert!(text.contains(tag), "{text}");
            assert_eq!(mentions(folder.path(), &mark, tag), 1);
        }
    }

    #[test]
    fn only_what_is_trained_has_a_histogram() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::create(folder.path()).unwrap();
        let store = VarStore::new(Device::Cpu);
        let root = store.root();
        let _variables = [
            root.sub("fc").var("weight", &[2, 3], Init::Const(0.5)),
            root.sub("bn1").var("weight", &[3], Init::Const(1.0)),
            root.sub("bn1").zeros_no_train("running_mean", &[3]),
        ];
        watch.weights(79, &store).unwrap();
        let mark = watch.mark().unwrap();
        assert_eq!(mentions(folder.path(), &mark, "weights/fc.weight"), 1);
        assert_eq!(mentions(folder.path(), &mark, "weights/"), 2);
    }

    #[test]
    fn a_run_goes_on_from_its_mark() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::create(folder.path()).unwrap();
        watch.log(10, 1, &[("early", 1.0)]).unwrap();
        let mark = watch.mark().unwrap();
        let kept = serde_json::to_string(&mark).unwrap();
        watch.log(20, 1, &[("late", 1.0)]).unwrap();
        drop(watch);
        let mark: EventsMark = serde_json::from_str(&kept).unwrap();
        let metrics = Metrics::create(&folder.path().join("another.jsonl")).unwrap();
        let mut watch = Watch::resume(metrics, folder.path(), &mark).unwrap();
        assert_eq!(watch.mark().unwrap(), mark);
        let images = Tensor::zeros([1, 3, 4, 4], (Kind::Float, Device::Cpu));
        watch.samples(20, &images, &Normalization::HALF).unwrap();
        for (text, times) in [("early", 1), ("late", 0), ("samples/train", 1)] {
            assert_eq!(mentions(folder.path(), &mark, text), times, "{text}");
        }
    }
}
