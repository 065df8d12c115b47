//! Studies: several runs under one recipe, each in a folder of its own, so that an interrupted study resumes.

use std::path::Path;

use datasets::regular_file;
use serde_json::Value;

use super::train;
use crate::commands::recipe_arguments::RecipeArgs;
use crate::commands::train::TrainArgs;
use crate::commands::{Error, Refusal};
use crate::file_error::FileError;
use crate::run::run_folder::CONFIG;

/// Returns the results of the run in `folder`: trains it as `recipe` says, resumes it, or reads the results that it has.
pub(super) fn results(folder: &Path, recipe: RecipeArgs) -> Result<Value, Error> {
    let path = folder.join("results.json");
    if !path.is_file() {
        let arguments = if folder.join(CONFIG).is_file() {
            TrainArgs { resume: Some(folder.to_path_buf()), ..TrainArgs::default() }
        } else {
            TrainArgs { recipe, out: Some(folder.to_path_buf()), ..TrainArgs::default() }
        };
        train::train(&arguments)?;
    }
    let text = regular_file::read_to_string(&path).map_err(FileError::on("read", &path))?;
    Ok(serde_json::from_str(&text).map_err(|reason| Refusal::Results { path, reason })?)
}
