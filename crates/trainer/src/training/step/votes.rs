//! What ranks tell each other with every step: how many images they have, and what they wish to do behind it.

use tch::Tensor;

use crate::Error;
use crate::signal::Signal;

/// What a rank wishes to do behind the next step; or what the ranks do, for one wish is enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::training) struct Wishes {
    /// To stop, for who asked this rank.
    pub(in crate::training) stop: Option<Signal>,
    /// To save, for it is time again.
    pub(in crate::training) save: bool,
}

/// What ranks tell each other ahead of a step, to be added up.
pub(super) struct Votes {
    /// Images that could be read.
    pub(super) images: usize,
    /// Shares without any.
    empty: usize,
    pub(super) wishes: Wishes,
}

impl Votes {
    /// Those of a rank with `images` images.
    pub(super) fn new(images: usize, wishes: Wishes) -> Self {
        Self { images, empty: usize::from(images == 0), wishes }
    }

    pub(super) fn to_tensor(&self) -> Tensor {
        let Self { images, empty, wishes: Wishes { stop, save } } = self;
        Tensor::from_slice(&[
            *images as i64,
            *empty as i64,
            i64::from(*stop == Some(Signal::Interrupt)),
            i64::from(*stop == Some(Signal::Terminate)),
            i64::from(*save),
        ])
    }

    pub(super) fn of_all(sums: &Tensor) -> Result<Self, Error> {
        let sums: Vec<i64> = Vec::try_from(sums)?;
        let stop = match sums[2..4] {
            [0, 0] => None,
            [0, _] => Some(Signal::Terminate),
            _ => Some(Signal::Interrupt),
        };
        let wishes = Wishes { stop, save: sums[4] > 0 };
        Ok(Self { images: sums[0] as usize, empty: sums[1] as usize, wishes })
    }

    /// Refuses, on all ranks alike, to go on with shares that nothing can be learned from.
    pub(super) fn check(&self, synchronised: bool, ranks: usize) -> Result<(), Error> {
        let Self { images, empty, .. } = self;
        if *images == 0 {
            return Err(nothing_to_read());
        }
        if synchronised && *empty > 0 {
            return Err(Error::DeadData(format!(
                "of {ranks} ranks, {empty} cannot read a single image of their shares of a batch, and ranks.batch_norm = \
                 \"synchronised\" needs one on each; take the broken images out, or use \"broadcast\""
            )));
        }
        Ok(())
    }
}

/// A batch of broken images only.
pub(super) fn nothing_to_read() -> Error {
    Error::DeadData("a whole batch of images cannot be read".to_string())
}
