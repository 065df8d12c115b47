//! The handle of a program that was built without the feature `cuda`, where no graph exists.

use std::convert::Infallible;

use tch::Device;

use super::OPERATION;
use crate::Error;

/// A graph that cannot be made.
#[derive(Debug)]
pub(super) struct Handle(Infallible);

impl Handle {
    pub(super) fn new(_device: Device) -> Result<Self, Error> {
        let message = "this program was built without the feature `cuda`; build it with `--features cuda`, against a \
                       libtorch with CUDA";
        Err(Error { operation: OPERATION, message: message.to_string() })
    }

    pub(super) fn enter(&self) -> Result<(), Error> {
        match self.0 {}
    }

    pub(super) fn leave(&self) -> Result<(), Error> {
        match self.0 {}
    }

    pub(super) fn capture_begin(&self) -> Result<(), Error> {
        match self.0 {}
    }

    pub(super) fn capture_end(&self) -> Result<(), Error> {
        match self.0 {}
    }

    pub(super) fn capture_abandon(&self) -> Result<(), Error> {
        match self.0 {}
    }

    pub(super) fn replay(&self) -> Result<(), Error> {
        match self.0 {}
    }
}
