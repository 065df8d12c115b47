//! The recipe that weights imply: their network, their normalisation, and images as they were trained on.

use xception::weights::Description;
use xception::{ModelOptions, Preset};

use crate::network;
use crate::network::transfer::Pretrained;
use crate::recipe::{
    InputRecipe, ModelRecipe, NormalizationRecipe, Recipe, Request, TransferRecipe,
};

/// `recipe` for `weights`, but for what was `typed`.
///
/// # Errors
/// Another network that was typed.
pub(super) fn implied(
    recipe: Recipe,
    weights: &Pretrained,
    typed: &Request,
) -> Result<Recipe, network::Error> {
    let description = &weights.description;
    let model = model(&recipe.model, description);
    if typed_another(&recipe.model, &model, typed) {
        let (path, preset) = (weights.path.clone(), description.spec.preset);
        return Err(network::Error::OtherNetwork { path, preset });
    }
    Ok(Recipe {
        model,
        normalization: NormalizationRecipe { mean: description.mean, std: description.std },
        input: recipe.input.map(|own| input(own, description, typed)),
        transfer: recipe.transfer.map(|own| transfer(own, weights)),
        ..recipe
    })
}

/// The network of the weights, with the dropout of the recipe.
fn model(own: &ModelRecipe, description: &Description) -> ModelRecipe {
    let spec = &description.spec;
    ModelRecipe {
        preset: spec.preset.to_string(),
        scale: (spec.preset == Preset::Cifar).then_some(spec.scale),
        options: (spec.options != ModelOptions::default()).then_some(spec.options),
        ..own.clone()
    }
}

/// Whether a network was typed that is not `of_weights`.
fn typed_another(own: &ModelRecipe, of_weights: &ModelRecipe, typed: &Request) -> bool {
    let preset = typed.preset.is_some() || typed.sets("model.preset");
    (preset && own.preset != of_weights.preset)
        || (typed.sets("model.scale") && own.scale != of_weights.scale)
        || (typed.sets("model.options") && own.options != of_weights.options)
}

/// Images as the weights were trained on, in the size that was typed, if one was.
fn input(own: InputRecipe, description: &Description, typed: &Request) -> InputRecipe {
    let Description { crop_fraction, interpolation, fit, input, .. } = *description;
    let side = if typed.sets("input.side") { own.side } else { input as usize };
    if side as i64 != input {
        tracing::info!(
            "these weights were trained on images of {input}×{input} pixels, this run uses {side}×{side}"
        );
    }
    InputRecipe { side, crop_fraction, interpolation, fit, ..own }
}

/// The file that was found by its full path, so that the run can be resumed from any folder.
fn transfer(own: TransferRecipe, weights: &Pretrained) -> TransferRecipe {
    let path = weights.path.canonicalize().unwrap_or_else(|_| weights.path.clone());
    TransferRecipe { weights: path.display().to_string(), ..own }
}

#[cfg(test)]
mod tests {
    use xception::import::Take;
    use xception::weights::{Fit, Interpolation};
    use xception::{CifarScale, ModelSpec};

    use super::*;

    /// Weights of a small network, trained on images of 48 pixels.
    fn weights() -> Pretrained {
        let scale = CifarScale { width: 0.05, middle_modules: 0, ..CifarScale::default() };
        let description = Description {
            spec: ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) },
            class_names: Vec::new(),
            input: 48,
            crop_fraction: 0.9,
            interpolation: Interpolation::Bicubic,
            fit: Fit::Squash,
            mean: [0.1, 0.2, 0.3],
            std: [0.4, 0.5, 0.6],
            data: "synthetic".to_string(),
            labels: xception::weights::Labels::One,
        };
        Pretrained {
            name: "w.safetensors".into(),
            take: Take::First,
            path: "w".into(),
            description,
        }
    }

    fn typed(set: &[&str]) -> Request {
        let set = set.iter().map(ToString::to_string).collect();
        Request {
            recipe: Some("finetune".into()),
            weights: Some("w".into()),
            set,
            ..Request::default()
        }
    }

    fn resolved(typed: &Request) -> Result<Recipe, network::Error> {
        implied(Recipe::resolve(typed).unwrap(), &weights(), typed)
    }

    #[test]
    fn weights_imply_their_network_and_normalisation() {
        let recipe = resolved(&typed(&[])).unwrap();
        let weights = weights();
        assert_eq!(recipe.model.preset, "cifar");
        assert_eq!(recipe.model.scale, Some(weights.description.spec.scale));
        assert_eq!(recipe.model.options, None);
        assert_eq!(recipe.normalization.mean, weights.description.mean);
        assert_eq!(recipe.normalization.std, weights.description.std);
    }

    #[test]
    fn weights_imply_the_images_but_for_a_size_that_was_typed() {
        let input = |set: &[&str]| resolved(&typed(set)).unwrap().input.unwrap();
        let own = Recipe::resolve(&typed(&[])).unwrap().input.unwrap();
        let implied = input(&[]);
        assert_eq!((implied.side, implied.crop_fraction), (48, 0.9));
        assert_eq!((implied.interpolation, implied.fit), (Interpolation::Bicubic, Fit::Squash));
        assert_eq!((implied.broken, implied.workers), (own.broken, own.workers));
        assert_eq!(input(&["input.side=64"]).side, 64);
    }

    #[test]
    fn another_network_that_was_typed_is_refused() {
        for request in [
            Request { preset: Some("xception".into()), ..typed(&[]) },
            typed(&["model.preset=xception"]),
            typed(&["model.options.shortcuts=none"]),
        ] {
            let error = resolved(&request).unwrap_err().to_string();
            assert!(error.contains("holds weights of preset 'cifar'"), "{error}");
        }
    }
}
