//! The counts of a pass over a set, on one rank or on all.

use datasets::{Batches, Loader, Source};
use tch::{Kind, Reduction, Tensor};
use xception::Xception;

use super::Evaluation;
use super::calibration::Calibration;
use super::mistake::{self, Mistake};
use super::rows::{Keep, Rows};
use super::several::{self, Several};
use crate::data::unreadable_images::LeftOut;
use crate::evaluation::Error;
use crate::network::forward::{Forward, Views};
use crate::precision::Precision;
use crate::ranks::World;

/// Sums over images.
#[derive(Debug, Default)]
pub(super) struct Counts {
    images: u64,
    correct: u64,
    in_top5: i64,
    loss: f64,
    /// Empty where images have any number of classes.
    confusion: Vec<Vec<u64>>,
    /// Of images with any number of classes.
    several: Option<PrecisionSum>,
    calibration: Calibration,
    mistakes: Vec<Mistake>,
    left_out: LeftOut,
    rows: Option<Rows>,
}

/// The average precisions at 100 of images that have a class.
#[derive(Debug, Clone, Copy, Default)]
struct PrecisionSum {
    images: u64,
    sum: f64,
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
        let set = loader.images();
        let mut counts = Self::default();
        if set.is_multi_label() {
            // Without all answers there is no figure of a class.
            counts.rows = Rows::of(Keep::Rows, set.len(), classes);
            counts.several = Some(PrecisionSum::default());
        } else {
            counts.rows = Rows::of(keep, set.len(), classes);
            counts.confusion = vec![vec![0; classes]; classes];
        }
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
                match counts.several {
                    Some(_) => counts.add_several(&logits, &batch.labels, &batch.indices, set),
                    None => counts.add(&logits, &batch.labels, &batch.indices),
                }
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
            let each = indices.iter().zip(&labels).zip(probabilities.chunks(self.confusion.len()));
            each.for_each(|((&index, &label), row)| rows.add(index, vec![label as u32], row));
        }
        let images = indices.iter().zip(labels).zip(predicted.iter().zip(confidence));
        for ((&index, label), (&predicted, probability)) in images {
            let (label, predicted) = (label as usize, predicted as usize);
            self.confusion[label][predicted] += 1;
            self.correct += u64::from(label == predicted);
            self.calibration.add(probability, label == predicted);
            if label != predicted {
                self.mistakes.push(Mistake { index, label, predicted, probability });
            }
        }
        self.images += indices.len() as u64;
    }

    /// Counts images of any number of classes by their `logits`, fp32 `[N, classes]`, and `targets`, fp32 of 0 and 1 of the same
    /// shape. The likeliest class is the answer that counts as correct or not.
    fn add_several(
        &mut self,
        logits: &Tensor,
        targets: &Tensor,
        indices: &[u32],
        set: &dyn Source,
    ) {
        let (logits, targets) = (logits.to_kind(Kind::Double), targets.to_kind(Kind::Double));
        let loss = logits.binary_cross_entropy_with_logits::<Tensor>(
            &targets,
            None,
            None,
            Reduction::Mean,
        );
        self.loss += loss.double_value(&[]) * indices.len() as f64;
        let classes = logits.size()[1];
        let probabilities = logits.sigmoid();
        let (_, ranked) = probabilities.topk(classes.min(several::AT as i64), 1, true, true);
        let hits = targets.gather(1, &ranked, false).contiguous().view([-1]);
        let hits: Vec<f64> = hits.try_into().expect("a vector of numbers");
        let best: Vec<i64> =
            ranked.select(1, 0).contiguous().try_into().expect("a vector of classes");
        let flat: Vec<f32> = probabilities
            .to_kind(Kind::Float)
            .contiguous()
            .view([-1])
            .try_into()
            .expect("a vector of numbers");
        let mut labels = Vec::new();
        let each = hits.chunks(hits.len() / indices.len()).zip(flat.chunks(classes as usize));
        for ((&index, &predicted), (hits, row)) in indices.iter().zip(&best).zip(each) {
            set.labels(index as usize, &mut labels);
            let is_hit = |hit: &f64| *hit > 0.5;
            let precision = several::average_precision_at(hits.iter().map(is_hit), labels.len());
            if let (Some(sums), Some(precision)) = (&mut self.several, precision) {
                sums.images += 1;
                sums.sum += precision;
            }
            self.in_top5 += i64::from(hits.iter().take(5).any(is_hit));
            let (predicted, right) = (predicted as usize, is_hit(&hits[0]));
            let probability = f64::from(row[predicted]);
            self.correct += u64::from(right);
            self.calibration.add(probability, right);
            if let (false, Some(&label)) = (right, labels.first()) {
                let label = label as usize;
                self.mistakes.push(Mistake { index, label, predicted, probability });
            }
            if let Some(rows) = &mut self.rows {
                rows.add(index, labels.clone(), row);
            }
        }
        self.images += indices.len() as u64;
    }

    /// The sums over all ranks, on each of them.
    pub(super) fn of_all_ranks(mut self, world: &World) -> Result<Self, Error> {
        let (bins, classes) = (self.calibration.sums(), self.confusion.len());
        let several = self.several.unwrap_or_default();
        let cells = self.confusion.iter().flatten().map(|&count| count as f64);
        // Whole numbers up to 2^53 add up without rounding.
        let figures = [
            self.images as f64,
            self.correct as f64,
            self.in_top5 as f64,
            self.loss,
            several.images as f64,
            several.sum,
        ];
        let own: Vec<f64> =
            figures.into_iter().chain(bins.into_iter().flatten()).chain(cells).collect();
        let sums = Tensor::from_slice(&own);
        world.sum(&sums)?;
        let sums: Vec<f64> = Vec::try_from(&sums)?;
        let (summed, rest) = sums.split_at(figures.len());
        let (bins, cells) = rest.split_at(rest.len() - classes * classes);
        (self.images, self.correct) = (summed[0] as u64, summed[1] as u64);
        (self.in_top5, self.loss) = (summed[2] as i64, summed[3]);
        if let Some(several) = &mut self.several {
            (several.images, several.sum) = (summed[4] as u64, summed[5]);
        }
        self.calibration = Calibration::from_sums(bins);
        for (row, cells) in self.confusion.iter_mut().zip(cells.chunks(classes.max(1))) {
            *row = cells.iter().map(|&count| count as u64).collect();
        }

        let mistakes = world.gather("mistakes", self.mistakes)?;
        self.mistakes = mistake::most_confident(mistakes.concat());
        self.left_out = self.left_out.of_all_ranks(world)?;
        if let Some(rows) = &self.rows {
            let parts = world.gather_bytes(rows.to_bytes())?;
            self.rows = Some(Rows::joined(rows.classes(), &parts));
        }
        Ok(self)
    }

    /// The figures that follow from the counts.
    pub(super) fn evaluation(self) -> Evaluation {
        let several = self.several.map(|PrecisionSum { images, sum }| Several {
            map_at_100: if images == 0 { 0.0 } else { sum / images as f64 },
            by_class: None,
        });
        let Self { images, correct, in_top5, loss, confusion, .. } = self;
        let Self { calibration, mistakes, left_out, rows, .. } = self;
        let part = |count: f64| if images == 0 { 0.0 } else { count / images as f64 };
        Evaluation {
            images,
            top1: part(correct as f64),
            top5: part(in_top5 as f64),
            loss: part(loss),
            confusion,
            calibration,
            mistakes,
            left_out,
            rows,
            several,
        }
    }
}
