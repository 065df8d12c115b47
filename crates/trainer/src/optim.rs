//! The movement of weights: optimizers, learning-rate schedules and averages of the weights.

pub(crate) mod average;
mod error;
pub(crate) mod optimizer;
pub(crate) mod schedule;
pub(crate) mod state;

pub(crate) use self::error::Error;
