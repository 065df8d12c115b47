//! Trains, evaluates and explains Xception: the library behind the binary `xception`.
//!
//! Start at [`commands`], one module a subcommand. A run is described by a [`recipe::Recipe`] in which every number
//! is written, and leaves a folder that says how it was made.

mod average;
mod captured;
mod checkpoint;
pub mod cli;
pub mod commands;
mod data;
mod did_you_mean;
mod error;
mod evaluation;
mod export;
mod forward;
mod left_out;
pub mod log;
mod metrics;
mod model_file;
mod optimizer;
mod pictures;
mod precision;
mod progress;
mod protobuf;
pub mod recipe;
mod report;
mod run_folder;
mod schedule;
mod state;
mod stop;
mod table;
mod tensorboard;
mod terminal;
mod training;
mod transfer;
mod watching;
mod whole_file;
mod world;

pub use error::Error;
