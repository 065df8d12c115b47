//! The keys of a recipe that a GPU, or the program that drives it, may not be able to fulfil.

use crate::ranks::World;
use crate::recipe::{LaunchRecipe, Recipe};
use crate::training::Error;
use crate::training::error::WORKSPACE;

/// Refuses recorded steps where none can be, and a fixed order of sums without cuBLAS's setting.
pub(super) fn check(recipe: &Recipe, world: &World) -> Result<(), Error> {
    if recipe.launch == LaunchRecipe::Graph {
        let reason = if !world.device().is_cuda() {
            Some("no GPU is seen")
        } else if !torch_ext::cuda_graphs_supported() {
            Some("this program was built without the feature `cuda`")
        } else if !world.can_record_steps() {
            Some("with several ranks gradients travel during the backward pass")
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(Error::NoGraphs { reason });
        }
    }
    let unset = || std::env::var_os(WORKSPACE).is_none();
    if recipe.deterministic && world.device().is_cuda() && unset() {
        return Err(Error::NoWorkspace);
    }
    Ok(())
}
