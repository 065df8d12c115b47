//! The handle of a program that was built without the feature `cuda`, which has none.

use std::convert::Infallible;

use tch::Tensor;

use crate::Error;

/// A copying stream that cannot be made.
#[derive(Debug)]
pub(super) struct Handle(Infallible);

impl Handle {
    pub(super) fn new(_device: usize, _ahead: usize) -> Result<Option<Self>, Error> {
        Ok(None)
    }

    pub(super) fn upload(&mut self, _tensor: &Tensor) -> Result<Tensor, Error> {
        match self.0 {}
    }
}
