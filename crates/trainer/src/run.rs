//! The files of a run: its folder, checkpoints, metrics and TensorBoard events.

pub(crate) mod checkpoint;
mod error;
pub(crate) mod image_list;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod run_folder;
pub(crate) mod tensorboard;

pub(crate) use self::error::{Error, EventsProblem, SaveError};
