//! `.pth` files: a pickle that describes the tensors, and their numbers beside it.

mod dictionaries;
mod legacy;
mod state_dict;
mod zip_archive;

pub(crate) use self::legacy::parse as parse_legacy;
pub(crate) use self::zip_archive::{PICKLE, parse as parse_zip};
