//! Images to measure on whose classes the training set lacks: no network trained on it could name them.

use std::path::Path;

use super::files::Class;
use super::role::Role;
use super::skipped::Skipped;
use crate::first_few::first_few;
use crate::{Error, LayoutError};

/// The classes of the part `role` that are among `names`; the others are left out, and remarked.
///
/// # Errors
/// A part none of whose classes is among them.
pub(super) fn left_out(
    classes: Vec<Class>,
    names: &[String],
    role: Role,
    root: &Path,
    skipped: &mut Skipped,
) -> Result<Vec<Class>, Error> {
    let (known, unknown): (Vec<Class>, Vec<Class>) =
        classes.into_iter().partition(|class| names.contains(&class.name));
    if unknown.is_empty() {
        return Ok(known);
    }
    let count = unknown.iter().map(|class| class.images.len()).sum();
    let classes: Vec<String> = unknown.into_iter().map(|class| class.name).collect();
    if known.is_empty() {
        let (part, root) = (role.prose(), root.to_path_buf());
        return Err(LayoutError::UntrainedClass { classes, part, root }.into());
    }
    skipped.remarks.push(remark(&classes, count, role));
    Ok(known)
}

/// The remark on `count` images of the part `role` that are left out, with their classes.
pub(super) fn remark(classes: &[String], count: usize, role: Role) -> String {
    let part = role.prose();
    let images = if count == 1 { "1 image".to_string() } else { format!("{count} images") };
    let (are, class) = match (count, classes.len()) {
        (1, _) => ("is", "its class is"),
        (_, 1) => ("are", "their class is"),
        _ => ("are", "their classes are"),
    };
    let names = first_few(classes);
    format!("{images} of the {part} {are} left out: {class} not in the training set ({names})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_are_not_trained_are_left_out_and_said() {
        let class = |name: &str, count: usize| Class {
            name: name.to_string(),
            images: (0..count).map(|number| number.to_string()).collect(),
        };
        let names = ["cat", "dog"].map(String::from);
        let left_out = |classes: Vec<Class>| {
            let mut skipped = Skipped::default();
            let root = Path::new("pets");
            let kept = left_out(classes, &names, Role::Test, root, &mut skipped);
            kept.map(|kept| (kept.len(), skipped.remarks)).map_err(|error| error.to_string())
        };
        assert_eq!(left_out(vec![class("dog", 3)]), Ok((1, vec![])));
        let said =
            "1 image of the test set is left out: its class is not in the training set (owl)";
        assert_eq!(
            left_out(vec![class("cat", 3), class("owl", 1)]),
            Ok((1, vec![said.to_string()]))
        );
        assert_eq!(
            left_out(vec![class("Cat", 3), class("Dog", 1)]),
            Err("2 classes of the test set in pets are not in the training set: Cat, Dog"
                .to_string())
        );
    }
}
