//! The recipe that images imply: a table `[input]` for files, and the name of the set that was found.

use xception::Preset;

use crate::data::{Data, DataSpec};
use crate::network::transfer::Pretrained;
use crate::recipe::{InputRecipe, Recipe};
use crate::training::{Error, check_recipe};

/// `recipe` with a table `[input]`, where the images of `spec` are files: as the weights were trained on, or else as its
/// preset is used.
pub(super) fn implied(
    recipe: Recipe,
    spec: &DataSpec,
    weights: Option<&Pretrained>,
) -> Result<Recipe, Error> {
    if !spec.is_files() || recipe.input.is_some() {
        return Ok(recipe);
    }
    let input = match weights {
        Some(weights) => InputRecipe::of(&weights.description.preprocessing()),
        None => InputRecipe::of(&recipe.model.preset.parse::<Preset>()?.preprocessing()),
    };
    tracing::info!(
        "the recipe has no table [input]: images become squares of {} pixels (--set input.side=…)",
        input.side
    );
    Ok(Recipe { input: Some(input), ..recipe })
}

/// `recipe` with the name of the set that was found. A run that was `begun` keeps its own name for files: they may have
/// been moved, and are compared when the run resumes.
///
/// # Errors
/// Another set than that of the run.
pub(super) fn named(recipe: Recipe, data: &Data, begun: Option<&Recipe>) -> Result<Recipe, Error> {
    let Some(begun) = begun else { return Ok(Recipe { data: data.name.clone(), ..recipe }) };
    if !(data.is_files() && is_files(&begun.data)) {
        check_recipe(begun, &Recipe { data: data.name.clone(), ..begun.clone() })?;
    }
    Ok(Recipe { data: begun.data.clone(), ..recipe })
}

fn is_files(spec: &str) -> bool {
    spec.parse::<DataSpec>().is_ok_and(|spec| spec.is_files())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Request;

    fn recipe() -> Recipe {
        Recipe::resolve(&Request::default()).unwrap()
    }

    #[test]
    fn files_imply_the_images_of_the_preset() {
        let spec = |text: &str| text.parse::<DataSpec>().unwrap();
        let in_memory = implied(recipe(), &spec("synthetic"), None).unwrap();
        assert_eq!(in_memory.input, None);
        let files = implied(recipe(), &spec("folder:pets"), None).unwrap();
        assert_eq!(files.input.unwrap().side, 32);
        let own = InputRecipe { side: 64, ..files.input.unwrap() };
        let typed = Recipe { input: Some(own), ..recipe() };
        let kept = implied(typed, &spec("folder:pets"), None).unwrap();
        assert_eq!(kept.input, Some(own), "a recipe that says it is left as it is");
    }
}
