//! Trains, evaluates and explains Xception: the library of the binary `xception`.
//!
//! Start at [`commands`], one module a subcommand. A run is described by a [`recipe::Recipe`] in which every number
//! is written, and leaves a folder that says how it was made.

pub mod commands;
pub mod console;
mod data;
mod did_you_mean;
mod duration;
mod evaluation;
mod exit_code;
mod file_error;
pub mod instructions;
mod invalid_value;
mod label_names;
mod learner;
mod model_errors;
mod network;
mod optim;
mod precision;
mod protobuf;
mod ranks;
pub mod recipe;
mod report;
mod run;
mod signal;
mod stop;
mod torch_error;
mod training;
mod whole_file;

pub use commands::Error;
pub use exit_code::ExitCode;
pub use torch_error::TorchError;
