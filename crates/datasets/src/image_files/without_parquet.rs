//! The reader of Parquet files in a build without the feature `parquet`, so that no caller needs a `cfg`.

use std::path::Path;

use super::{Found, Held, TableColumns};
use crate::Error;

/// Refuses to read: this build lacks the feature `parquet`.
///
/// # Errors
/// Always.
pub fn parquet(
    _path: &Path,
    _columns: &TableColumns,
    _held: Held,
    _spool: &Path,
) -> Result<Found, Error> {
    Err(Error::WithoutFeature { format: "Parquet", feature: "parquet" })
}
