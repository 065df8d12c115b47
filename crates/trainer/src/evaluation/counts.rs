//! The counts of a pass over a set, on one rank or on all.

use datasets::{Batches, Loader};
use tch::{Kind, Tensor};
use xception::Xception;

use super::Evaluation;
use super::calibration::Calibration;
use super::mistake::{self, Mistake};
use super::rows::{Keep, Rows};
use crate::data::unreadable_images::LeftOut;
use crate::evaluation::Error;
use crate::network::forward::{Forward, Views};
use crate::precision::Precision;
use crate::ranks::World;

/// Sums over images.
#[derive(Debug, Default)]
pub(super) struct Counts {
    images: u64,
    in_top5: i64,
    loss: f64,
    confusion: Vec<Vec<u64>>,
    calibration: Calibration,
    mistakes: Vec<Mistake>,
    left_out: LeftOut,
    rows: Option<Rows>,
}

impl Counts {
    /// Runs `model` over one epoch of `loader`. Calls `after` with the number of images so far after each batch, and
    /// stops at its first error.
    pub(super) fn of<E: From<Error>>(
        model: &Xception,
        loader: &Loader,
        precision: Precision,
        views: Views,
        keep: Keep,
        mut after: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Self, E> {
        let classes = loader.images().class_names().len();
        let rows = Rows::of(keep, loader.images().len(), classes);
        let confusion = vec![vec![0; classes]; classes];
        let mut counts = Self { confusion, rows, ..Self::default() };
        let batches: Batches = loader.epoch(0);
        let share = loader.config().batch_size.div_ceil(loader.config().share.world_size);
        let mut forward = Forward::new(model, precision, share);
        tch::no_grad(|| -> Result<(), E> {
            for batch in batches {
                let batch = batch.map_err(Error::from)?;
                counts.left_out.add(&batch);
                if batch.indices.is_empty() {
                    continue;
                }
                let images = batch.images_on(model.device()).map_err(Error::from)?;
                let logits = forward.logits(&images, views).map_err(Error::from)?;
                counts.add(&logits, &batch.labels, &batch.indices);
                after(counts.images)?;
            }
            Ok(())
        })?;
        counts.mistakes = mistake::most_confident(counts.mistakes);
        Ok(counts)
    }

    /// Counts images by their `logits`, fp32 `[N, classes]`, and `labels`, int64 `[N]`.
    fn add(&mut self, logits: &Tensor, labels: &Tensor, indices: &[u32]) {
        let log_probabilities = logits.log_softmax(-1, Kind::Double);
        self.loss -= log_probabilities
            .gather(1, &labels.unsqueeze(1), false)
            .sum(Kind::Double)
            .double_value(&[]);
        let (_, ranked) = logits.topk(5.min(logits.size()[1]), 1, true, true);
        let hits = ranked.eq_tensor(&labels.unsqueeze(1));
        self.in_top5 += hits.sum(Kind::Int64).int64_value(&[]);
        let best = ranked.narrow(1, 0, 1);
        let confidence = log_probabilities.gather(1, &best, false).exp().view([-1]);
        let confidence: Vec<f64> = confidence.try_into().expect("a vector of numbers");
        let predicted: Vec<i64> = best.view([-1]).try_into().expect("a vector of classes");
        let labels: Vec<i64> = labels.try_into().expect("a vector of labels");
        if let Some(rows) = &mut self.rows {
            let probabilities = log_probabilities.exp().to_kind(Kind::Float).view([-1]);
            let probabilities: Vec<f32> = probabilities.try_into().expect("a vector of numbers");
            rows.add(indices, &labels, &probabilities);
        }
        let images = indices.iter().zip(labels).zip(predicted.iter().zip(confidence));
        for ((&index, label), (&predicted, probability)) in images {
            let (label, predicted) = (label as usize, predicted as usize);
            self.confusion[label][predicted] += 1;
            self.calibration.add(probability, label == predicted);
            if label != predicted {
                self.mistakes.push(Mistake { index, label, predicted, probability });
            }
        }
        self.images += indices.len() as u64;
    }

    /// The sums over all ranks, on each of them.
    pub(super) fn of_all_ranks(mut self, world: &World) -> Result<Self, Error> {
        let (bins, classes) = (self.calibration.sums(), self.confusion.len());
        let cells = self.confusion.iter().flatten().map(|&count| count as f64);
        // Whole numbers up to 2^53 add up without rounding.
        let own: Vec<f64> = [self.images as f64, self.in_top5 as f64, self.loss]
            .into_iter()
            .chain(bins.into_iter().flatten())
            .chain(cells)
            .collect();
        let sums = Tensor::from_slice(&own);
        world.sum(&sums)?;
        let sums: Vec<f64> = Vec::try_from(&sums)?;
        let (figures, rest) = sums.split_at(3);
        let (bins, cells) = rest.split_at(own.len() - 3 - classes * classes);
        (self.images, self.in_top5, self.loss) = (figures[0] as u64, figures[1] as i64, figures[2]);
        self.calibration = Calibration::from_sums(bins);
        for (row, cells) in self.confusion.iter_mut().zip(cells.chunks(classes)) {
            *row = cells.iter().map(|&count| count as u64).collect();
        }

        let mistakes = world.gather("mistakes", self.mistakes)?;
        self.mistakes = mistake::most_confident(mistakes.concat());
        self.left_out = self.left_out.of_all_ranks(world)?;
        if let Some(rows) = &self.rows {
            let parts = world.gather_bytes(rows.to_bytes())?;
            self.rows = Some(Rows::joined(classes, &parts));
        }
        Ok(self)
    }

    /// The figures that follow from the counts.
    pub(super) fn evaluation(self) -> Evaluation {
        let Self { images, in_top5, loss, confusion, calibration, mistakes, left_out, rows } = self;
        let right: u64 = confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
        let part = |count: f64| if images == 0 { 0.0 } else { count / images as f64 };
        Evaluation {
            images,
            top1: part(right as f64),
            top5: part(in_top5 as f64),
            loss: part(loss),
            confusion,
            calibration,
            mistakes,
            left_out,
            rows,
        }
    }
}
