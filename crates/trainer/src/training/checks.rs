//! Signs at the start that a run cannot come to anything, ahead of the hours that it would take.

use datasets::{Decoded, Source};

use crate::Error;

/// Refuses images that nothing can be learned from; warns of what is odd.
pub(super) fn data(train: &dyn Source) -> Result<(), Error> {
    let classes = train.class_names().len();
    let mut counts = vec![0_u64; classes];
    for index in 0..train.len() {
        counts[train.label(index) as usize] += 1;
    }
    let present = counts.iter().filter(|&&count| count > 0).count();
    if present < 2 {
        let class = counts.iter().position(|&count| count > 0).unwrap_or(0);
        return Err(Error::DeadData(format!(
            "every training image is of class '{}': there is nothing to tell apart",
            train.class_names()[class]
        )));
    }
    if all_the_same(train) {
        return Err(Error::DeadData(format!(
            "all {} training images are the same: there is nothing to see",
            train.len()
        )));
    }
    if let Some((class, error)) = unreadable_class(train) {
        return Err(Error::DeadData(format!(
            "not one of the {} training images of class '{}' can be read; put good ones there, or take the class away: \
             {error}",
            counts[class],
            train.class_names()[class]
        )));
    }
    let missing: Vec<&str> = (0..classes)
        .filter(|&class| counts[class] == 0)
        .map(|class| train.class_names()[class].as_str())
        .collect();
    if !missing.is_empty() {
        tracing::warn!("no training image is of class {}", missing.join(", "));
    }
    Ok(())
}

/// Whether all images are one: all of a set in memory, of files as many as take no time to read.
fn all_the_same(train: &dyn Source) -> bool {
    let looked_at = if train.size().is_some() { train.len() } else { train.len().min(READ) };
    let (mut room, mut other_room) = (Decoded::default(), Decoded::default());
    // A broken one is for the recipe to judge.
    let Ok(first) = train.image(0, &mut room) else { return false };
    // Files lie class by class: every how many-th, so that more than one class is among them.
    let step = train.len() / looked_at;
    for index in (1..looked_at).map(|place| place * step) {
        let Ok(other) = train.image(index, &mut other_room) else { return false };
        if (other.height, other.width) != (first.height, first.width)
            || other.pixels != first.pixels
        {
            return false;
        }
    }
    true
}

/// A class that has image files and none that can be read, with what is wrong with the first. One image of every class
/// is decoded, and more only where that one is broken.
fn unreadable_class(train: &dyn Source) -> Option<(usize, datasets::Error)> {
    if train.size().is_some() {
        return None;
    }
    let mut room = Decoded::default();
    let mut broken: Vec<Option<datasets::Error>> =
        train.class_names().iter().map(|_| None).collect();
    let mut is_good = vec![false; broken.len()];
    for index in 0..train.len() {
        let class = train.label(index) as usize;
        if is_good[class] {
            continue;
        }
        match train.image(index, &mut room) {
            Ok(_) => is_good[class] = true,
            Err(error) => drop(broken[class].get_or_insert(error)),
        }
    }
    let bad = (0..broken.len()).find(|&class| !is_good[class] && broken[class].is_some())?;
    Some((bad, broken[bad].take()?))
}

/// Image files that are read ahead of a run.
const READ: usize = 16;

/// Warns of a first loss far from that of a network that knows nothing and says so, `ln(classes)`.
pub(super) fn first_loss(loss: f64, classes: usize) {
    let expected = (classes as f64).ln();
    if !(expected / 2.0..=expected * 2.0).contains(&loss) {
        tracing::warn!(
            "the first loss is {loss:.3}, where a network that knows nothing of {classes} classes has {expected:.3}: \
             normalisation, labels or initialisation may be off"
        );
    }
}

#[cfg(test)]
mod tests {
    use datasets::Images;

    use super::*;

    fn images(pixels: [u8; 3], labels: [u32; 3]) -> Images {
        let pixels = pixels.iter().flat_map(|&pixel| [pixel; 12]).collect();
        let names = ["cat", "dog", "owl"].map(String::from);
        Images::new(pixels, labels.to_vec(), 2, 2, names.to_vec()).unwrap()
    }

    /// Also where it is the first, which all others are compared with; but a class needs one that is whole.
    #[test]
    fn a_broken_image_is_for_the_recipe_to_judge() {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let check = || {
            let held = datasets::Held { fraction: 0.0, seed: 0 };
            data(&*datasets::folder(root.path(), held).unwrap().train)
        };
        for name in ["ant/0.png", "ant/1.png", "bee/0.png", "bee/1.png"] {
            put(name, b"not an image");
        }
        put("ant/2.png", &crate::network::images::png(&[[1, 2, 3]], 1, 1));
        let error = check().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("not one of the 2 training images of class 'bee' can be read"),
            "{error}"
        );
        assert!(error.to_string().contains("bee/0.png cannot be decoded"), "{error}");
        put("bee/2.png", &crate::network::images::png(&[[3, 2, 1]], 1, 1));
        check().unwrap();
    }

    #[test]
    fn images_that_teach_nothing_are_refused() {
        data(&images([1, 2, 3], [0, 1, 2])).unwrap();
        data(&images([1, 1, 3], [0, 1, 1])).expect("a class may be missing");
        let refused = |pixels, labels| data(&images(pixels, labels)).unwrap_err();
        let error = refused([1, 2, 3], [1, 1, 1]);
        assert_eq!(
            error.to_string(),
            "every training image is of class 'dog': there is nothing to tell apart"
        );
        assert_eq!(error.exit_code(), 3);
        assert_eq!(
            refused([9, 9, 9], [0, 1, 2]).to_string(),
            "all 3 training images are the same: there is nothing to see"
        );
    }
}
