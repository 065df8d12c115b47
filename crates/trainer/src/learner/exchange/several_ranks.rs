//! Several ranks: each computes on its share of the batch, and all move by the gradients of the whole.
//!
//! Losses are divided by the number of images that the batch should have, so that gradients only have to be summed. Where
//! images could not be read, the sums are scaled up once all ranks have reported how many they have.

use tch::{Kind, Tensor};
use torch_ext::SumOverProcesses;
use torch_ext::distributed::Work;

use super::{Backward, Exchange, Share};
use crate::learner::Error;
use crate::learner::votes::Tally;
use crate::learner::{StepOutput, Votes};
use crate::optim::state;
use crate::ranks::{Buckets, Peers};
use crate::signal::Signal;

/// The exchange of a rank with others.
pub(in crate::learner) struct Together {
    peers: Peers,
    /// Sums the statistics of batch norms, where they are synchronised.
    statistics: Option<SumOverProcesses>,
    /// The buckets in which gradients are sent, once there were some.
    buckets: Option<Buckets>,
    /// The count of images and votes that is under way, and the tensor that it fills.
    counting: Option<(Work, Tensor)>,
    /// Images that the batch should have, and those that could be read.
    images: (usize, usize),
    /// The votes of all ranks in the last step.
    decided: Votes,
}

impl Together {
    /// The exchange with `peers`.
    pub(super) fn new(peers: Peers, statistics: Option<SumOverProcesses>) -> Self {
        let (buckets, counting, images) = (None, None, (0, 0));
        Self { peers, statistics, buckets, counting, images, decided: Votes::default() }
    }

    /// Waits for the count of images and votes, unless it is here. The votes hold whatever becomes of the step.
    fn count(&mut self) -> Result<(), Error> {
        let Some((work, sums)) = self.counting.take() else { return Ok(()) };
        work.wait()?;
        let tally = Tally::of_all(&sums)?;
        self.decided = tally.votes;
        self.images.1 = tally.images;
        tally.check(self.statistics.is_some(), self.peers.ranks())
    }

    /// The buckets for `parameters`, the same on all ranks.
    fn take_buckets(&mut self, parameters: &[&Tensor]) -> Buckets {
        let fitting = self.buckets.take().filter(|buckets| buckets.fit(parameters));
        fitting.unwrap_or_else(|| Buckets::new(parameters))
    }
}

impl Exchange for Together {
    fn open(&mut self, share: Share, votes: Votes) -> Result<i64, Error> {
        self.images = (share.in_all, share.readable);
        let sums = Tally::new(share.readable, votes).to_tensor();
        // The counts are on the CPU, so no rank waits for its device.
        self.counting = Some((self.peers.begin_sum(&sums)?, sums));
        if self.statistics.is_some() {
            // Before the forward pass: a rank without images is not in it, and the others would wait for its statistics.
            self.count()?;
        }
        Ok(share.in_all as i64)
    }

    fn statistics(&self) -> Option<&SumOverProcesses> {
        self.statistics.as_ref()
    }

    /// Sends the gradients of the last micro-batch while its backward pass runs.
    fn backward(&mut self, pass: Backward<'_>) -> Result<(StepOutput, Vec<Tensor>), Error> {
        let Backward { loss, accumulated, output, parameters } = pass;
        let mut buckets = self.take_buckets(parameters);
        let figures = match &output {
            Some(StepOutput { loss, correct, .. }) => {
                Tensor::stack(&[loss.to_kind(Kind::Double), correct.to_kind(Kind::Double)], 0)
            }
            None => Tensor::zeros([2], (Kind::Double, parameters[0].device())),
        };
        let summing = self.peers.begin_sum(&figures)?;
        let mut reduction = buckets.begin(&self.peers, accumulated);
        match &loss {
            Some(loss) => drop(torch_ext::gradients(loss, parameters, |index, gradient| {
                reduction.ready(index, gradient);
            })?),
            // A share without images takes part with gradients of zero.
            None => {
                for (index, parameter) in parameters.iter().enumerate().rev() {
                    reduction.ready(index, &parameter.f_zeros_like()?);
                }
            }
        }
        let gradients = reduction.finish()?;
        summing.wait()?;
        self.buckets = Some(buckets);
        let output = StepOutput {
            loss: figures.get(0).to_kind(Kind::Float),
            correct: figures.get(1).to_kind(Kind::Int64),
            images: output.map_or(0, |output| output.images),
        };
        Ok((output, gradients))
    }

    fn close(&mut self, output: &mut StepOutput, gradients: &[Tensor]) -> Result<(), Error> {
        self.count()?;
        let (in_all, readable) = self.images;
        output.images = readable;
        if readable < in_all {
            let missing = in_all as f64 / readable as f64;
            for tensor in gradients.iter().chain([&output.loss]) {
                drop(tensor.shallow_clone().f_mul_scalar_(missing)?);
            }
        }
        Ok(())
    }

    fn stop(&self, _own: Option<Signal>) -> Option<Signal> {
        self.decided.stop
    }

    fn saves(&self) -> bool {
        self.decided.save
    }

    fn forget_votes(&mut self) {
        self.decided = Votes::default();
    }

    /// A graph cannot hold what ranks exchange on the CPU.
    fn overlaps(&self) -> bool {
        true
    }

    fn can_be_recorded(&self) -> bool {
        false
    }

    /// The buckets are copies of the gradients.
    fn bytes(&self, parameters: &[Tensor]) -> u64 {
        state::bytes(parameters)
    }
}
