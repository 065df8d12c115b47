//! A step of several ranks: each passes its share of the batch, and all move by the gradients of the whole.

use tch::{Kind, Tensor};
use torch_ext::distributed::Work;

use super::votes::{Votes, Wishes};
use super::{Learner, Moment, Stepped};
use crate::Error;
use crate::ranks::Buckets;

impl Learner {
    /// The step of [`Learner::update`] over this rank's share of a batch of `in_all` images. `wishes` are this rank's,
    /// and then what all do: also where the loss is not finite, for the run may pass that.
    ///
    /// Losses are shares of the mean over `in_all`, so that gradients only have to be summed. Where images could not be
    /// read there are fewer; that is known, and made up for, when all ranks have told how many they have.
    pub(super) fn update_together(
        &mut self,
        images: &Tensor,
        labels: &Tensor,
        in_all: usize,
        wishes: &mut Wishes,
        moment: Moment,
    ) -> Result<Stepped, Error> {
        let sums = Votes::new(images.size()[0] as usize, *wishes).to_tensor();
        // Nobody has to wait for the device to know these.
        let counting = self.world.begin_sum(&sums)?;
        let (synchronised, ranks) = (self.statistics.is_some(), self.world.size());
        // Wishes hold whatever becomes of the step.
        let mut hear = |counting: Work| -> Result<Votes, Error> {
            counting.wait()?;
            let votes = Votes::of_all(&sums)?;
            *wishes = votes.wishes;
            votes.check(synchronised, ranks)?;
            Ok(votes)
        };
        let votes;
        let (mut stepped, gradients);
        if synchronised {
            // First, for a rank without images is in no forward pass, where the others would wait for it.
            votes = hear(counting)?;
            (stepped, gradients) = self.pass_together(images, labels, in_all as i64)?;
        } else {
            (stepped, gradients) = self.pass_together(images, labels, in_all as i64)?;
            votes = hear(counting)?;
        }
        stepped.images = votes.images;
        if votes.images < in_all {
            let missing = in_all as f64 / votes.images as f64;
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
        // A share without images takes part all the same, with nothing.
        let micro = self.micro_batch(size).max(1);
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
        let seen = match &total {
            Some(Stepped { loss, right, .. }) => {
                Tensor::stack(&[loss.to_kind(Kind::Double), right.to_kind(Kind::Double)], 0)
            }
            None => Tensor::zeros([2], (Kind::Double, images.device())),
        };
        let counting = self.world.begin_sum(&seen)?;
        let parameters = self.optimizer.parameters();
        let mut reduction = buckets.begin(&self.world, before);
        match &last {
            Some(loss) => drop(torch_ext::gradients(loss, &parameters, |index, gradient| {
                reduction.ready(index, gradient);
            })?),
            None => {
                for (index, parameter) in parameters.iter().enumerate().rev() {
                    reduction.ready(index, &parameter.f_zeros_like()?);
                }
            }
        }
        let gradients = reduction.finish()?;
        counting.wait()?;
        self.buckets = Some(buckets);
        let stepped = Stepped {
            loss: seen.get(0).to_kind(Kind::Float),
            right: seen.get(1).to_kind(Kind::Int64),
            images: size as usize,
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
