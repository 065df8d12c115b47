//! A step of several ranks: each passes its share of the batch, and all move by the gradients of the whole.

use tch::{Kind, Tensor};

use super::{Learner, Moment, Stepped};
use crate::Error;
use crate::stop::Signal;
use crate::world::Buckets;

impl Learner {
    /// The step of [`Learner::update`] over this rank's share of a batch of `in_all` pictures. `asked` is who asked this
    /// rank to stop, and then who asked any: also where the loss is not finite, for the run may pass that.
    ///
    /// Losses are shares of the mean over `in_all`, so that gradients only have to be summed. Where pictures could not be
    /// read there are fewer; that is known, and made up for, when all ranks have told how many they have.
    pub(super) fn update_together(
        &mut self,
        images: &Tensor,
        labels: &Tensor,
        in_all: usize,
        asked: &mut Option<Signal>,
        moment: Moment,
    ) -> Result<Stepped, Error> {
        let size = images.size()[0];
        let votes = Tensor::from_slice(&[
            size,
            i64::from(*asked == Some(Signal::Interrupt)),
            i64::from(*asked == Some(Signal::Terminate)),
        ]);
        // Nobody has to wait for the device to know these.
        let counting = self.world.begin_sum(&votes)?;

        let (mut stepped, gradients) = self.pass_together(images, labels, in_all as i64)?;
        counting.wait()?;
        let counts: Vec<i64> = Vec::try_from(&votes)?;
        stepped.images = counts[0] as usize;
        *asked = match counts[1..] {
            [0, 0] => None,
            [0, _] => Some(Signal::Terminate),
            _ => Some(Signal::Interrupt),
        };
        if stepped.images < in_all {
            let missing = in_all as f64 / stepped.images as f64;
            for tensor in gradients.iter().chain([&stepped.loss]) {
                drop(tensor.shallow_clone().f_mul_scalar_(missing)?);
            }
        }
        self.descend(&stepped, &gradients, moment)?;
        Ok(stepped)
    }

    /// Forward and backward over this rank's share, micro-batch by micro-batch: loss and gradients of the whole batch.
    /// Those of the last pass are sent while it runs.
    pub(super) fn pass_together(
        &mut self,
        images: &Tensor,
        labels: &Tensor,
        in_all: i64,
    ) -> Result<(Stepped, Vec<Tensor>), Error> {
        let size = images.size()[0];
        let micro = self.micro_batch(size);
        let mut buckets = self.fitting_buckets()?;
        let mut before: Vec<Tensor> = Vec::new();
        let mut total: Option<Stepped> = None;
        let mut last = None;
        for start in (0..size).step_by(micro as usize) {
            let (loss, stepped) = self.forward(images, labels, start, micro, in_all)?;
            match &mut total {
                Some(total) => total.add(&stepped)?,
                None => total = Some(stepped),
            }
            if start + micro >= size {
                last = Some(loss);
                break;
            }
            let gradients = self.optimizer.gradients(&loss)?;
            match before.is_empty() {
                true => before = gradients,
                false => {
                    for (sum, gradient) in before.iter_mut().zip(&gradients) {
                        drop(sum.f_add_(gradient)?);
                    }
                }
            }
        }
        let (Some(Stepped { loss, right, images }), Some(last)) = (total, last) else {
            return Err(Error::DeadData("a rank has no picture in a batch".to_string()));
        };
        let seen = Tensor::stack(&[loss.to_kind(Kind::Double), right.to_kind(Kind::Double)], 0);
        let counting = self.world.begin_sum(&seen)?;
        let mut reduction = buckets.begin(&self.world, before);
        drop(torch_ext::gradients(&last, &self.optimizer.parameters(), |index, gradient| {
            reduction.ready(index, gradient);
        })?);
        let gradients = reduction.finish()?;
        counting.wait()?;
        self.buckets = Some(buckets);
        let stepped = Stepped {
            loss: seen.get(0).to_kind(Kind::Float),
            right: seen.get(1).to_kind(Kind::Int64),
            images,
        };
        Ok((stepped, gradients))
    }

    /// Buckets for what is trained now, the same on all ranks.
    fn fitting_buckets(&mut self) -> Result<Buckets, Error> {
        let parameters = self.optimizer.parameters();
        match self.buckets.take().filter(|buckets| buckets.fit(&parameters)) {
            Some(buckets) => Ok(buckets),
            None => Ok(Buckets::new(&parameters)),
        }
    }
}
