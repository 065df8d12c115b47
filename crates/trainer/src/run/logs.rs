//! The logs of a run: `metrics.jsonl` for programs, `tb/` for TensorBoard.
//!
//! Both are written here, so that they always agree.

mod grid;

use std::path::{Path, PathBuf};

use datasets::Normalization;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::run::Error;
use crate::run::metrics::Metrics;
use crate::run::tensorboard::{EventWriter, Stamp, now};

/// The folder of a run that TensorBoard is pointed at.
const TENSORBOARD: &str = "tb";

/// The open logs. Training continues, with a warning, where a log cannot be written.
pub(crate) struct RunLogs {
    /// Absent on ranks that write no logs.
    metrics: Option<Metrics>,
    folder: PathBuf,
    /// Created with the first event.
    events: Option<EventWriter>,
}

/// The end of the event file at a checkpoint, from which a resumed run continues it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsMark {
    file: String,
    bytes: u64,
}

impl RunLogs {
    /// Opens the logs of the run in `folder`, new or existing.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let metrics = Metrics::open(&folder.join("metrics.jsonl"))?;
        Ok(Self { metrics: Some(metrics), folder: folder.join(TENSORBOARD), events: None })
    }

    /// No logs, for ranks other than 0.
    pub(crate) fn nothing() -> Self {
        Self { metrics: None, folder: PathBuf::new(), events: None }
    }

    /// Logs numbers by tag.
    pub(crate) fn log(&mut self, step: u64, epoch: u64, values: &[(&str, f64)]) {
        if let Some(metrics) = &mut self.metrics {
            metrics.log(step, epoch, values);
        }
        self.event(|events| events.scalars(stamp(step), values));
    }

    /// Logs normalised training `images`, `[N, 3, H, W]`, as one image.
    pub(crate) fn samples(&mut self, step: u64, images: &Tensor, normalization: &Normalization) {
        let image = tch::no_grad(|| grid::grid(images, normalization));
        self.event(|events| events.image(stamp(step), "samples/train", &image));
    }

    /// Logs a histogram of every trainable variable of `store`, as `weights/<name>`.
    ///
    /// Copies them all to the CPU, so it is called once an epoch.
    pub(crate) fn weights(&mut self, step: u64, store: &VarStore) {
        let mut variables: Vec<(String, Tensor)> = store.variables().into_iter().collect();
        variables.retain(|(_, variable)| variable.requires_grad());
        variables.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.event(|events| {
            for (name, variable) in variables {
                let values = variable.detach().to_device(Device::Cpu).to_kind(Kind::Float);
                let values: Vec<f32> =
                    Vec::try_from(values.contiguous().view(-1)).expect("a vector of float32");
                events.histogram(stamp(step), &format!("weights/{name}"), &values)?;
            }
            Ok(())
        });
    }

    /// The ends of both files, once they are on the disk: bytes of `metrics.jsonl`, and the mark in the events.
    pub(crate) fn mark(&mut self) -> (u64, Option<EventsMark>) {
        self.event(|events| events.sync());
        let mark = self
            .events
            .as_ref()
            .map(|events| EventsMark { file: events.name().to_string(), bytes: events.position() });
        (self.metrics.as_mut().map_or(0, Metrics::synced_length), mark)
    }

    /// Cuts both files back to their [`RunLogs::mark`], so that no step is in them twice.
    pub(crate) fn cut_back(
        &mut self,
        metrics: u64,
        events: Option<&EventsMark>,
    ) -> Result<(), Error> {
        let Some(own) = &mut self.metrics else { return Ok(()) };
        own.cut_back(metrics)?;
        self.events = match events {
            Some(EventsMark { file, bytes }) => {
                EventWriter::reopen(&self.folder, file, *bytes).map_or_else(lost, Some)
            }
            // The events are those of a run without a checkpoint, which starts from the beginning.
            None => EventWriter::remove_all(&self.folder).map_or_else(lost, |()| None),
        };
        Ok(())
    }

    fn event(&mut self, write: impl FnOnce(&mut EventWriter) -> Result<(), Error>) {
        if self.metrics.is_none() {
            return;
        }
        let events = match self.events.take() {
            Some(events) => Ok(events),
            None => EventWriter::create(&self.folder),
        };
        match events {
            Ok(mut events) => {
                write(&mut events).map_or_else(lost, Some);
                self.events = Some(events);
            }
            Err(error) => self.events = lost(error),
        }
    }
}

/// Warns that TensorBoard will lack an event.
fn lost<T>(error: Error) -> Option<T> {
    tracing::warn!("TensorBoard will lack events: {:#}", anyhow::Error::from(error));
    None
}

fn stamp(step: u64) -> Stamp {
    Stamp { step, wall_time: now() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tch::nn::Init;

    use super::*;

    /// The number of times that `text` is in the event file.
    fn mentions(folder: &Path, mark: &EventsMark, text: &str) -> usize {
        let bytes = fs::read(folder.join("tb").join(&mark.file)).unwrap();
        bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
    }

    #[test]
    fn what_goes_to_one_file_goes_to_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut logs = RunLogs::open(folder.path()).unwrap();
        logs.log(10, 1, &[("train/loss", 2.5), ("lr", 1e-3)]);
        let text = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
        let (length, mark) = logs.mark();
        assert_eq!(length, text.len() as u64);
        for tag in ["train/loss", "lr"] {
            assert!(text.contains(tag), "{text}");
            assert_eq!(mentions(folder.path(), mark.as_ref().unwrap(), tag), 1);
        }
    }

    #[test]
    fn only_what_is_trained_has_a_histogram() {
        let folder = tempfile::tempdir().unwrap();
        let mut logs = RunLogs::open(folder.path()).unwrap();
        let store = VarStore::new(Device::Cpu);
        let root = store.root();
        let _variables = [
            root.sub("fc").var("weight", &[2, 3], Init::Const(0.5)),
            root.sub("bn1").var("weight", &[3], Init::Const(1.0)),
            root.sub("bn1").zeros_no_train("running_mean", &[3]),
        ];
        logs.weights(79, &store);
        let mark = logs.mark().1.unwrap();
        assert_eq!(mentions(folder.path(), &mark, "weights/fc.weight"), 1);
        assert_eq!(mentions(folder.path(), &mark, "weights/"), 2);
    }

    #[test]
    fn a_run_goes_on_from_its_mark() {
        let folder = tempfile::tempdir().unwrap();
        let mut logs = RunLogs::open(folder.path()).unwrap();
        logs.log(10, 1, &[("early", 1.0)]);
        let (length, mark) = logs.mark();
        let kept = serde_json::to_string(&mark).unwrap();
        logs.log(20, 1, &[("late", 1.0)]);
        drop(logs);
        let mark: Option<EventsMark> = serde_json::from_str(&kept).unwrap();
        let mut logs = RunLogs::open(folder.path()).unwrap();
        logs.cut_back(length, mark.as_ref()).unwrap();
        assert_eq!(logs.mark(), (length, mark.clone()));
        let images = Tensor::zeros([1, 3, 4, 4], (Kind::Float, Device::Cpu));
        logs.samples(20, &images, &Normalization::HALF);
        let mark = mark.unwrap();
        for (text, times) in [("early", 1), ("late", 0), ("samples/train", 1)] {
            assert_eq!(mentions(folder.path(), &mark, text), times, "{text}");
        }
    }

    #[test]
    fn a_run_that_begins_anew_leaves_no_event_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut logs = RunLogs::open(folder.path()).unwrap();
        logs.log(10, 1, &[("early", 1.0)]);
        let mut logs = RunLogs::open(folder.path()).unwrap();
        logs.cut_back(0, None).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("tb")).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap(), "");
    }

    #[test]
    fn events_that_are_lost_do_not_stop_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut logs = RunLogs::open(folder.path()).unwrap();
        logs.log(10, 1, &[("early", 1.0)]);
        let (length, mark) = logs.mark();
        let mark = mark.unwrap();
        fs::remove_file(folder.path().join("tb").join(&mark.file)).unwrap();
        let mut logs = RunLogs::open(folder.path()).unwrap();
        logs.cut_back(length, Some(&mark)).unwrap();
        logs.log(20, 1, &[("late", 1.0)]);
        let anew = logs.mark().1.unwrap();
        assert_eq!(mentions(folder.path(), &anew, "late"), 1);
    }
}
