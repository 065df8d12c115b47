//! Everything between a fresh clone and a trained network: fetching, checking, building, testing.
//!
//! A library so that `tests/` can drive the parts that must never go wrong (downloads, archives,
//! locks) without starting a process for each case. It never depends on tch: it has to run before
//! libtorch is there.

pub mod cache;
pub mod check_change;
pub mod check_ranks;
pub mod check_targets;
pub mod check_tensorboard;
pub mod check_weights;
pub mod cli;
pub mod cuda_kernels;
pub mod dist;
pub mod doctor;
pub mod durable;
pub mod failure;
pub mod fetch;
mod files;
pub mod golden;
pub mod gpu_kit;
pub mod gpu_report;
pub mod instructions;
pub mod minimum_rust;
pub mod peers;
mod process_group;
pub mod public_api;
pub mod python;
mod rust_target;
pub mod sanitize;
pub mod test;
pub mod test_aarch64;
pub mod test_outside;
pub mod tidy;
pub mod train;
pub mod workspace;
