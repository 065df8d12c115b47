//! One rank: gradients and figures are its own, and it decides alone.

use tch::Tensor;
use torch_ext::SumOverProcesses;

use super::{Backward, Exchange, Share, add_gradients};
use crate::learner::Error;
use crate::learner::{StepOutput, Votes};
use crate::signal::Signal;

/// The exchange of a rank without others.
#[derive(Default)]
pub(in crate::learner) struct Alone {
    votes: Votes,
}

impl Exchange for Alone {
    fn open(&mut self, share: Share, votes: Votes) -> Result<i64, Error> {
        self.votes = votes;
        if share.readable == 0 {
            return Err(Error::UnreadableBatch);
        }
        Ok(share.readable as i64)
    }

    fn statistics(&self) -> Option<&SumOverProcesses> {
        None
    }

    fn backward(&mut self, pass: Backward<'_>) -> Result<(StepOutput, Vec<Tensor>), Error> {
        let Backward { loss: Some(loss), accumulated: mut sums, output: Some(output), parameters } =
            pass
        else {
            return Err(Error::UnreadableBatch);
        };
        let gradients = Tensor::f_run_backward(&[loss], parameters, false, false)?;
        add_gradients(&mut sums, gradients)?;
        Ok((output, sums))
    }

    fn close(&mut self, _output: &mut StepOutput, _gradients: &[Tensor]) -> Result<(), Error> {
        Ok(())
    }

    fn stop(&self, own: Option<Signal>) -> Option<Signal> {
        own
    }

    fn saves(&self) -> bool {
        self.votes.save
    }

    fn forget_votes(&mut self) {
        self.votes = Votes::default();
    }

    fn overlaps(&self) -> bool {
        false
    }

    fn can_be_recorded(&self) -> bool {
        true
    }

    fn bytes(&self, _parameters: &[Tensor]) -> u64 {
        0
    }
}
