//! One binary for every integration test, so that libtorch is linked once.

mod browser;
mod command_line;
mod examples;
mod fill;
mod golden;
mod golden_file;
mod import;
mod operator_count;
