//! A trained network outside training: its file, its forward pass, its images, its exports.

mod error;
pub(crate) mod export;
pub(crate) mod forward;
pub(crate) mod graph_replay;
pub(crate) mod images;
pub(crate) mod model_file;
pub(crate) mod transfer;
pub(crate) mod weights_name;

pub(crate) use self::error::Error;
pub(crate) use self::error::first_few;
