//! How good a network is on a set: top-1, top-5, loss, and which classes it takes for which.

use datasets::{Batches, Loader};
use serde_json::{Value, json};
use tch::{Device, IndexOp, Kind, Tensor, nn::ModuleT};
use xception::Xception;

use crate::Error;
use crate::captured::Captured;
use crate::precision::Precision;

/// Whether each picture is looked at once, or its mirror image too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Views {
    /// As it is.
    One,
    /// The logits of the picture and of its mirror image, averaged.
    Mirrored,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evaluation {
    /// Pictures in all.
    pub(crate) images: u64,
    /// Part of the pictures whose label has the largest logit.
    pub(crate) top1: f64,
    /// Part of the pictures whose label is among the five largest logits (all, with fewer classes).
    pub(crate) top5: f64,
    /// Mean cross-entropy.
    pub(crate) loss: f64,
    /// Pictures of class `row` that were taken for class `column`.
    pub(crate) confusion: Vec<Vec<u64>>,
}

impl Evaluation {
    /// Runs `model` over one epoch of `loader`. `after` hears how many pictures are done.
    pub(crate) fn of(
        model: &Xception,
        loader: &Loader,
        precision: Precision,
        views: Views,
        mut after: impl FnMut(u64),
    ) -> Result<Self, Error> {
        let classes = loader.pictures().class_names().len();
        let mut confusion = vec![vec![0_u64; classes]; classes];
        let (mut images, mut in_top5, mut loss) = (0_u64, 0_i64, 0.0);
        let batches: Batches = loader.epoch(0);
        let mut forward = Forward::new(model, precision, loader.config().batch_size);
        tch::no_grad(|| -> Result<(), Error> {
            for batch in batches {
                let logits = forward.logits(&batch.images, views)?;
                let log_probabilities = logits.log_softmax(-1, Kind::Double);
                loss -= log_probabilities
                    .gather(1, &batch.labels.unsqueeze(1), false)
                    .sum(Kind::Double)
                    .double_value(&[]);
                let (_, ranked) = logits.topk(5.min(classes as i64), 1, true, true);
                let hits = ranked.eq_tensor(&batch.labels.unsqueeze(1));
                in_top5 += hits.sum(Kind::Int64).int64_value(&[]);
                let predicted: Vec<i64> =
                    ranked.i((.., 0)).try_into().expect("a vector of classes");
                let labels: Vec<i64> = (&batch.labels).try_into().expect("a vector of labels");
                for (label, predicted) in labels.into_iter().zip(predicted) {
                    confusion[label as usize][predicted as usize] += 1;
                }
                images += batch.indices.len() as u64;
                after(images);
            }
            Ok(())
        })?;
        let right: u64 = confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
        let part = |count: f64| if images == 0 { 0.0 } else { count / images as f64 };
        Ok(Self {
            images,
            top1: part(right as f64),
            top5: part(in_top5 as f64),
            loss: part(loss),
            confusion,
        })
    }

    /// Part of each class's pictures that were recognised; `None` for a class without pictures.
    pub(crate) fn per_class(&self) -> Vec<Option<f64>> {
        let recall = |(class, row): (usize, &Vec<u64>)| {
            let all: u64 = row.iter().sum();
            (all > 0).then(|| row[class] as f64 / all as f64)
        };
        self.confusion.iter().enumerate().map(recall).collect()
    }

    /// The figures for programs: `top1, top5, loss, images`.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "top1": self.top1, "top5": self.top5, "loss": self.loss, "images": self.images })
    }
}

/// A network's logits for batch after batch. On a GPU, in a build with CUDA graphs, full batches replay one.
pub(crate) struct Forward<'a> {
    captured: Option<Captured<1, 1>>,
    model: &'a Xception,
    precision: Precision,
    /// Pictures in the batches that are recorded, if any are.
    recorded: Option<usize>,
}

impl<'a> Forward<'a> {
    /// Forward passes of `model` in `precision`, most of them over `full_batch` pictures.
    pub(crate) fn new(model: &'a Xception, precision: Precision, full_batch: usize) -> Self {
        let recorded = torch_ext::cuda_graphs_supported().then_some(full_batch);
        Self { captured: None, model, precision, recorded }
    }

    /// The logits of normalised pictures `[N, 3, H, W]`, fp32 `[N, classes]`, on the CPU.
    pub(crate) fn logits(&mut self, images: &Tensor, views: Views) -> Result<Tensor, Error> {
        let device = self.model.device();
        let images = images.to_device(device).to_kind(self.precision.kind(device));
        tch::no_grad(|| match views {
            Views::One => self.seen(&images),
            Views::Mirrored => Ok((self.seen(&images)? + self.seen(&images.flip([3]))?) / 2.0),
        })
    }

    fn seen(&mut self, images: &Tensor) -> Result<Tensor, Error> {
        let forward = |images: &Tensor| self.model.forward_t(images, false);
        let full = self.recorded.is_some_and(|full| images.size()[0] == full as i64);
        if full && self.captured.as_ref().is_none_or(|captured| !captured.fits([images])) {
            self.captured = Some(Captured::new([images])?);
        }
        let logits = match self.captured.as_mut().filter(|_| full) {
            Some(captured) => {
                let [logits] = captured.run([images], |[images]| Ok([forward(images)]))?;
                logits
            }
            None => forward(images),
        };
        Ok(logits.to_device(Device::Cpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::VarStore;
    use xception::{ModelSpec, Preset};

    fn counted(confusion: Vec<Vec<u64>>) -> Evaluation {
        Evaluation { images: 6, top1: 0.5, top5: 1.0, loss: 1.0, confusion }
    }

    /// Six batches, so that three are replayed, and a smaller one, under weights that nobody trained.
    #[test]
    #[ignore = "needs a CUDA device and the feature `cuda`"]
    fn a_captured_forward_is_the_eager_one() {
        tch::manual_seed(0);
        let device = Device::Cuda(0);
        let store = VarStore::new(device);
        let spec = ModelSpec::new(Preset::NotebookCifar10);
        let table = spec.architecture().unwrap();
        let model = Xception::new(&store.root(), &table, spec.classes).unwrap();
        for (precision, views) in
            [(Precision::Fp32, Views::One), (Precision::Bf16, Views::Mirrored)]
        {
            let mut captured = Forward::new(&model, precision, 8);
            assert!(captured.recorded.is_some(), "built without the feature `cuda`");
            let mut eager = Forward { recorded: None, ..Forward::new(&model, precision, 8) };
            for batch_size in [8, 8, 8, 8, 8, 8, 3] {
                let images = Tensor::randn([batch_size, 3, 32, 32], (Kind::Float, Device::Cpu));
                let images = torch_ext::channels_last(&images).unwrap();
                let expected = eager.logits(&images, views).unwrap();
                let got = captured.logits(&images, views).unwrap();
                assert!(got.equal(&expected), "{precision:?} {batch_size} {got} {expected}");
            }
        }
    }

    #[test]
    fn a_class_without_pictures_has_no_accuracy() {
        let evaluation = counted(vec![vec![3, 1, 0], vec![2, 0, 0], vec![0, 0, 0]]);
        assert_eq!(evaluation.per_class(), [Some(0.75), Some(0.0), None]);
    }
}
