//! Synthetic images: deterministic, balanced, and told apart only by a convolution.

use super::*;

const CHANCE: f64 = 0.1;

fn set(split: Split, count: usize) -> Images {
    images(split, count, 32, 0).unwrap()
}

#[test]
fn an_image_depends_on_seed_split_and_number_alone() {
    let train = set(Split::Train, 40);
    assert_eq!(train, set(Split::Train, 40));
    let longer = set(Split::Train, 55);
    assert!((0..40).all(|index| longer.image(index) == train.image(index)));
    let differs = |other: Images| (0..40).all(|i| other.image(i) != train.image(i));
    assert!(differs(set(Split::Test, 40)));
    assert!(differs(images(Split::Train, 40, 32, 1).unwrap()));
}

/// Results name this set, so its bytes must not change.
#[test]
fn every_byte_is_stable() {
    let set = set(Split::Train, 20);
    let bytes = (0..20).flat_map(|index| set.image(index).as_flattened());
    // FNV-1a.
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    assert_eq!(hash, 8_818_682_238_135_618_482);
}

#[test]
fn classes_are_balanced_for_every_count() {
    for count in [0, 1, 10, 57, 100] {
        let images = set(Split::Test, count);
        assert_eq!(images.len(), count);
        let counts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
            .map(|class| images.labels().iter().filter(|&&label| label == class).count());
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
    }
}

#[test]
fn any_size_from_the_smallest_is_drawn() {
    for size in [16, 32, 45, 96] {
        let images = images(Split::Train, 3, size, 0).unwrap();
        assert_eq!((images.height(), images.width()), (size, size));
    }
    assert_eq!(
        images(Split::Train, 3, 15, 0).unwrap_err().to_string(),
        "synthetic images of 15x15 pixels are too small to tell the shapes apart; use 16 or more"
    );
}

type Features = fn(&[[u8; 3]]) -> Vec<f64>;

fn pixels(image: &[[u8; 3]]) -> Vec<f64> {
    image.as_flattened().iter().map(|&byte| f64::from(byte)).collect()
}

fn mean_colour(image: &[[u8; 3]]) -> Vec<f64> {
    let sum = |channel: usize| image.iter().map(|pixel| f64::from(pixel[channel])).sum::<f64>();
    (0..3).map(|channel| sum(channel) / image.len() as f64).collect()
}

/// Shares of each channel's bytes in eight bins.
fn histogram(image: &[[u8; 3]]) -> Vec<f64> {
    let mut shares = vec![0.; 24];
    for pixel in image {
        for (channel, &byte) in pixel.iter().enumerate() {
            shares[channel * 8 + usize::from(byte / 32)] += 1. / image.len() as f64;
        }
    }
    shares
}

/// The vertical part of the differences between neighbours, 0 to 1, as a convolution of two taps sees it.
fn vertical_edges(image: &[[u8; 3]]) -> f64 {
    let difference = |a: usize, b: usize| -> u32 {
        (0..3).map(|channel| u32::from(image[a][channel].abs_diff(image[b][channel]))).sum()
    };
    let inner = (0..31 * 31).map(|n| n / 31 * 32 + n % 31);
    let down: u32 = inner.clone().map(|n| difference(n, n + 32)).sum();
    let right: u32 = inner.map(|n| difference(n, n + 1)).sum();
    f64::from(down) / f64::from(down + right)
}

/// Accuracy on `test` of the classifier that takes the class whose mean over `train` is nearest.
fn nearest_mean(train: &Images, test: &Images, features: Features) -> f64 {
    let classes = train.class_names().len();
    let mut means = vec![Vec::new(); classes];
    for (index, &label) in train.labels().iter().enumerate() {
        let features = features(train.image(index));
        let mean = &mut means[label as usize];
        mean.resize(features.len(), 0.);
        for (mean, feature) in mean.iter_mut().zip(features) {
            *mean += feature * classes as f64 / train.len() as f64;
        }
    }
    let correct = test.labels().iter().enumerate().filter(|&(index, &label)| {
        let features = features(test.image(index));
        let distance = |mean: &[f64]| -> f64 {
            mean.iter().zip(&features).map(|(mean, feature)| (mean - feature).powi(2)).sum()
        };
        let nearest =
            (0..classes).min_by(|&a, &b| distance(&means[a]).total_cmp(&distance(&means[b])));
        nearest == Some(label as usize)
    });
    correct.count() as f64 / test.len() as f64
}

#[test]
fn neither_pixels_nor_mean_colour_nor_histogram_give_the_class_away() {
    let (train, test) = (set(Split::Train, 2000), set(Split::Test, 1000));
    for (name, features) in
        [("pixels", pixels as Features), ("mean colour", mean_colour), ("histogram", histogram)]
    {
        let accuracy = nearest_mean(&train, &test, features);
        assert!(accuracy < 2. * CHANCE, "{name}: {accuracy}");
    }
}

/// The classifier above succeeds on sets that do give the class away.
#[test]
fn the_same_classifier_succeeds_on_sets_that_leak() {
    let leaking = |split, count, class_colour: fn(u32) -> u8| {
        let set = set(split, count);
        let tint = |index: usize| {
            let colour = class_colour(set.labels()[index]);
            set.image(index).iter().flat_map(move |&[red, green, _]| [red, green, colour])
        };
        let pixels = (0..count).flat_map(tint).collect();
        Images::new(pixels, set.labels().to_vec(), 32, 32, set.class_names().to_vec()).unwrap()
    };
    let tinted = |label| label as u8 * 28;
    let (train, test) = (leaking(Split::Train, 2000, tinted), leaking(Split::Test, 500, tinted));
    for features in [pixels as Features, mean_colour, histogram] {
        let accuracy = nearest_mean(&train, &test, features);
        assert!(accuracy > 0.5, "{accuracy}");
    }
}

#[test]
fn edges_tell_horizontal_from_vertical() {
    let test = set(Split::Test, 500);
    for (index, &label) in test.labels().iter().enumerate() {
        let down = vertical_edges(test.image(index));
        match CLASS_NAMES[label as usize] {
            "horizontal stripes" => assert!(down > 0.5, "image {index}: {down}"),
            "vertical stripes" => assert!(down < 0.5, "image {index}: {down}"),
            _ => {}
        }
    }
}
