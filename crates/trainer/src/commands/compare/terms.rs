//! The recipes that `xception compare` accepts. It has no checkpoints and no average, and Inception V3 lacks some options:
//! a value that would have no effect is refused.

use std::path::Path;

use crate::commands::Refusal;
use crate::precision::Precision;
use crate::recipe::{NonFinite, Recipe};

/// The side of the smallest image of which Inception V3 has a place left at its end.
const SMALLEST: usize = 75;

/// Refuses a recipe or a file that cannot be used, before hours of training.
pub(super) fn check(recipe: &Recipe, name: &str, out: Option<&Path>) -> Result<(), Refusal> {
    if let Some(folder) = out.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty())
        && !folder.is_dir()
    {
        return Err(Refusal::NoFolder { folder: folder.to_path_buf() });
    }
    check_values(recipe).map_err(|problem| Refusal::Compare { recipe: name.to_string(), problem })
}

fn check_values(recipe: &Recipe) -> Result<(), String> {
    if recipe.precision != Precision::Fp32 {
        return Err(format!(
            "trains in fp32, got precision = \"{}\": --set precision=fp32",
            recipe.precision.name()
        ));
    }
    if !matches!(recipe.non_finite, NonFinite::Stop {}) {
        return Err("ends at a loss that is not finite: --set 'non_finite={ action = \"stop\" }'"
            .to_string());
    }
    let unused = [
        ("transfer", recipe.transfer.is_some()),
        ("average", recipe.average.is_some()),
        ("model.drop_path", recipe.model.drop_path.is_some()),
    ];
    match unused.into_iter().find(|(_, is_set)| *is_set) {
        Some((key, _)) => Err(format!("does nothing with {key}: give a recipe without it")),
        None => Ok(()),
    }
}

/// Refuses images that are too small for Inception V3. `own` are the rows and columns of images of one size.
pub(super) fn check_sides(recipe: &Recipe, own: Option<[usize; 2]>) -> Result<(), Refusal> {
    let own = own
        .map(|size| size[0].min(size[1]))
        .or(recipe.input.map(|input| input.side))
        .unwrap_or(SMALLEST);
    let smallest = (1..=recipe.epochs).map(|epoch| recipe.side(epoch).unwrap_or(own)).min();
    match smallest {
        Some(side) if side < SMALLEST => Err(Refusal::TooSmall { smallest: SMALLEST, side }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Request;

    fn recipe(changes: &[&str]) -> Recipe {
        let set = changes.iter().map(ToString::to_string).collect();
        let arguments = Request { recipe: Some("compare".into()), set, ..Request::default() };
        Recipe::resolve(&arguments).unwrap()
    }

    #[test]
    fn a_value_that_would_do_nothing_is_refused() {
        check_values(&recipe(&[])).expect("its own recipe");
        check_values(&recipe(&["accumulation=2", "clipping={ max_norm = 1.0 }"])).unwrap();
        for (change, expected) in [
            ("precision=bf16", "precision = \"bf16\""),
            ("non_finite={ action = \"skip\", limit = 3 }", "non_finite"),
            ("average={ name = \"ema\", decay = 0.99, every = 1, warmup = \"ramp\" }", "average"),
            ("model={ preset = \"xception41\", drop_path = 0.1 }", "model.drop_path"),
        ] {
            let problem = check_values(&recipe(&[change])).expect_err(change);
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn images_that_are_too_small_are_refused_before_the_first() {
        check_sides(&recipe(&[]), Some([32, 32])).expect("its own recipe enlarges them");
        let error = check_sides(&recipe(&["progressive=[]"]), Some([32, 32])).unwrap_err();
        assert!(error.to_string().contains("75 pixels or more, got 32"), "{error}");
        check_sides(&recipe(&["progressive=[]"]), Some([75, 80])).expect("they are large enough");
    }

    #[test]
    fn figures_have_a_place_to_go() {
        check(&recipe(&[]), "compare", Some(Path::new("here.json"))).expect("the folder is here");
        let error =
            check(&recipe(&[]), "compare", Some(Path::new("/nowhere/at/all.json"))).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/at is no folder"), "{error}");
    }
}
