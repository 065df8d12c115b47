//! Checks at the start for data and losses from which nothing can be learned, before the hours that a run takes.

use datasets::{Decoded, Source};

use super::error::DeadData;
use crate::data::typical_side;
use crate::network::first_few;

/// Refuses training images from which nothing can be learned, and warns in two lines at most of what the numbers of images
/// show. `measured` is the set that is measured after every epoch.
pub(super) fn data(train: &dyn Source, measured: &[(&str, &dyn Source)]) -> Result<(), DeadData> {
    let counts = train.images_by_class();
    let present = counts.iter().filter(|&&count| count > 0).count();
    if present < 2 {
        let class = counts.iter().position(|&count| count > 0).unwrap_or(0);
        return Err(DeadData::OneClass { class: train.class_names()[class].clone() });
    }
    if all_the_same(train) {
        return Err(DeadData::AllTheSame { images: train.len() });
    }
    if let Some((class, first)) = unreadable_class(train) {
        let (images, class) = (counts[class], train.class_names()[class].clone());
        return Err(DeadData::UnreadableClass { images, class, first: Box::new(first) });
    }
    let measured: Vec<(&str, Vec<u64>)> =
        measured.iter().map(|(set, images)| (*set, images.images_by_class())).collect();
    for warning in warnings(train.class_names(), &counts, &measured) {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// The shorter side of images, as a multiple of the network's side, from which a warning is due.
const SHRUNK: usize = 4;

/// Warns where images are much larger than the squares of `side` pixels that they become.
pub(super) fn sizes(train: &dyn Source, side: usize) {
    if let Some(warning) = shrunk(train, side) {
        tracing::warn!("{warning}");
    }
}

fn shrunk(train: &dyn Source, side: usize) -> Option<String> {
    let typical = typical_side(train)?;
    (typical >= SHRUNK * side).then(|| {
        format!(
            "images whose shorter side is about {typical} pixels become squares of {side}: small things in them vanish; \
             --set input.side=… takes larger squares"
        )
    })
}

/// The number of images by label.
/// The number of images of the largest class, as a multiple of those of the smallest, from which a warning is due.
const IMBALANCE: u64 = 10;

/// Warnings of classes that a set lacks, and of classes of very different sizes.
fn warnings(names: &[String], training: &[u64], measured: &[(&str, Vec<u64>)]) -> Vec<String> {
    let lacking = |counts: &[u64], set: &str| {
        let missing: Vec<String> = (0..names.len())
            .filter(|&class| counts[class] == 0)
            .map(|class| names[class].clone())
            .collect();
        (!missing.is_empty()).then(|| format!("no {set} image is of class {}", first_few(&missing)))
    };
    // A test set that nobody has is as good as none.
    let measured = measured.iter().filter(|(_, counts)| counts.iter().any(|&count| count > 0));
    let measured = measured.filter_map(|(set, counts)| lacking(counts, set));
    let lacking: Vec<String> = lacking(training, "training").into_iter().chain(measured).collect();
    let some = || (0..names.len()).filter(|&class| training[class] > 0);
    let largest = some().rev().max_by_key(|&class| training[class]);
    let smallest = some().min_by_key(|&class| training[class]);
    let imbalance = largest.zip(smallest).and_then(|(largest, smallest)| {
        let ratio = training[largest] / training[smallest];
        (ratio >= IMBALANCE).then(|| {
            format!(
                "class {} has {ratio} times the training images of class {} ({} and {}): accuracy says little about small \
                 classes; `xception check` lists all",
                names[largest], names[smallest], training[largest], training[smallest]
            )
        })
    });
    let lacking = (!lacking.is_empty()).then(|| lacking.join("; "));
    lacking.into_iter().chain(imbalance).collect()
}

/// Whether all images are the same. Compares all images of a set in memory, and some of a set of files.
fn all_the_same(train: &dyn Source) -> bool {
    let compared = if train.size().is_some() { train.len() } else { train.len().min(READ) };
    let (mut room, mut other_room) = (Decoded::default(), Decoded::default());
    // The recipe says what a broken image means.
    let Ok(first) = train.image(0, &mut room) else { return false };
    // Files lie class by class. The ones that are read are spread, so that more than one class is among them.
    let step = train.len() / compared;
    for index in (1..compared).map(|place| place * step) {
        let Ok(other) = train.image(index, &mut other_room) else { return false };
        if (other.height, other.width) != (first.height, first.width)
            || other.pixels != first.pixels
        {
            return false;
        }
    }
    true
}

/// Returns a class that has image files and none that can be read, with the error of the first. Decodes one image of every
/// class, and more only where that one is broken.
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

/// Image files that are read before a run.
const READ: usize = 16;

/// Steps from which a network can learn from nothing: before, the running statistics of its norms are those of no image.
const FEW_STEPS: u64 = 100;

/// Warns of a run from nothing that is over before the network can have learned.
pub(super) fn steps(steps: u64, batch_size: usize) {
    if steps < FEW_STEPS {
        tracing::warn!(
            "the run has {steps} {}, in which a network that starts from nothing learns little: try a smaller batch than \
             {batch_size} and more epochs (--set batch_size=8 --set epochs=50), or start from weights (--recipe finetune)",
            if steps == 1 { "step" } else { "steps" }
        );
    }
}

/// Warns of a first loss far from `ln(classes)`, which a network has that gives all classes the same probability.
pub(super) fn first_loss(loss: f64, classes: usize) {
    let expected = (classes as f64).ln();
    if !(expected / 2.0..=expected * 2.0).contains(&loss) {
        tracing::warn!(
            "the first loss is {loss:.3}, where an untrained network with {classes} classes has {expected:.3}: \
             normalisation, labels or initialisation may be wrong"
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

    /// Also where it is the first image, with which all others are compared; but a class needs one that is whole.
    #[test]
    fn the_recipe_says_what_a_broken_image_means() {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let check = || {
            let held = datasets::Held { fraction: 0.0, seed: 0 };
            let images = datasets::folder(root.path(), held).unwrap().train;
            data(&*images, &[("test", &*images)])
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
    fn images_from_which_nothing_can_be_learned_are_refused() {
        let data = |pixels, labels| {
            let images = images(pixels, labels);
            data(&images, &[("test", &images)])
        };
        data([1, 2, 3], [0, 1, 2]).unwrap();
        data([1, 1, 3], [0, 1, 1]).expect("a class may be missing");
        let refused = |pixels, labels| data(pixels, labels).unwrap_err();
        let error = refused([1, 2, 3], [1, 1, 1]);
        assert_eq!(
            error.to_string(),
            "every training image is of class 'dog': there is nothing to tell apart"
        );
        assert_eq!(
            refused([9, 9, 9], [0, 1, 2]).to_string(),
            "all 3 training images are the same: there is nothing to learn"
        );
    }

    #[test]
    fn images_much_larger_than_the_squares_are_warned_of() {
        let root = tempfile::tempdir().unwrap();
        for class in ["ant", "bee"] {
            std::fs::create_dir(root.path().join(class)).unwrap();
        }
        for (name, width, height) in
            [("ant/0", 64, 80), ("ant/1", 70, 64), ("ant/2", 5, 5), ("bee/0", 64, 64)]
        {
            let png = crate::network::images::png(&vec![[7; 3]; width * height], width, height);
            std::fs::write(root.path().join(format!("{name}.png")), png).unwrap();
        }
        let held = datasets::Held { fraction: 0.0, seed: 0 };
        let images = datasets::folder(root.path(), held).unwrap().train;
        assert_eq!(shrunk(&*images, 17), None);
        let warning = shrunk(&*images, 16).unwrap();
        assert!(warning.starts_with("images whose shorter side is about 64 pixels"), "{warning}");
        assert!(warning.contains("squares of 16"), "{warning}");
    }

    #[test]
    fn the_numbers_of_images_are_warned_of_in_two_lines() {
        let names = ["cat", "dog", "owl"].map(String::from);
        assert!(warnings(&names, &[9, 9, 1], &[("test", vec![1, 1, 1])]).is_empty());
        assert_eq!(
            warnings(&names, &[25, 0, 2], &[("test", vec![1, 0, 0])]),
            [
                "no training image is of class dog; no test image is of class dog, owl",
                "class cat has 12 times the training images of class owl (25 and 2): accuracy says little about small \
                 classes; `xception check` lists all",
            ]
        );
        assert_eq!(
            warnings(&names, &[9; 3], &[("validation", vec![1, 0, 1]), ("test", vec![1, 1, 1])]),
            ["no validation image is of class dog"]
        );
    }
}
