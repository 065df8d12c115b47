//! The terminal: log lines, progress bars, colours. Nothing here knows what is trained.

pub(crate) mod escape;
pub mod log;
pub(crate) mod progress;
pub(crate) mod terminal;
pub mod verbosity;
