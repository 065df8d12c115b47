//! Images of several shapes: deterministic, with the labels of their shapes, and with common and rare classes.

use super::*;
use crate::Source;

const SIDE: usize = 64;

fn set(split: Split, count: usize) -> Images {
    multi_label_images(split, count, SIDE, 0).unwrap()
}

fn labels(set: &Images) -> Vec<Vec<u32>> {
    let mut labels = Vec::new();
    let mut of = |index| {
        Source::labels(set, index, &mut labels);
        labels.clone()
    };
    (0..set.len()).map(&mut of).collect()
}

#[test]
fn a_scene_depends_on_seed_split_and_number_alone() {
    let train = set(Split::Train, 30);
    assert_eq!(train, set(Split::Train, 30));
    let longer = set(Split::Train, 41);
    assert!((0..30).all(|index| longer.image(index) == train.image(index)));
    assert_eq!(labels(&longer)[..30], labels(&train));
    let differs = |other: Images| (0..30).all(|i| other.image(i) != train.image(i));
    assert!(differs(set(Split::Test, 30)));
    assert!(differs(multi_label_images(Split::Train, 30, SIDE, 1).unwrap()));
}

/// Results name this set, so its bytes must not change.
#[test]
fn every_byte_of_a_scene_is_stable() {
    let set = set(Split::Train, 8);
    // FNV-1a, of labels and pixels.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    set.identity(&mut |bytes| {
        for &byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    });
    assert_eq!(hash, 12_456_231_186_859_205_668);
}

#[test]
fn images_have_one_to_four_labels_and_some_classes_are_rare() {
    let (train, test) = (set(Split::Train, 8000), set(Split::Test, 2000));
    for (set, rarest) in [(&train, 400), (&test, 80)] {
        let labels = labels(set);
        let counts =
            [1, 2, 3, 4].map(|count| labels.iter().filter(|own| own.len() == count).count());
        assert_eq!(counts.iter().sum::<usize>(), set.len());
        for (count, share) in counts.iter().zip(SHAPES_AN_IMAGE) {
            let got = *count as f64 / set.len() as f64;
            assert!((got - share).abs() < 0.03, "{counts:?}");
        }
        let by_class = set.images_by_class();
        let (least, most) = (by_class.iter().min().unwrap(), by_class.iter().max().unwrap());
        assert!(*least >= rarest, "enough to learn from and to measure: {by_class:?}");
        let ratio = *most as f64 / *least as f64;
        assert!((8.0..15.0).contains(&ratio), "{ratio}: {by_class:?}");
    }
}

/// A shape that another one hides would be a label of nothing.
#[test]
fn shapes_hardly_overlap_and_lie_in_the_image() {
    for size in [MULTI_LABEL_MIN_SIZE, SIDE, 97] {
        let mut hidden = Vec::new();
        for index in 0..300 {
            let rng = &mut stream(5, Purpose::SyntheticScene, 0, index);
            let shapes = [0, 1, 2, 3].map(|_| 9_u32);
            // Colours that add up: how much of each shape is left is in its channel.
            let half = size as f64 / 2.;
            let mut values = vec![[0.; 3]; size * size];
            let mut areas = Vec::new();
            for quarter in 0..4 {
                let mut pose = Pose::draw(rng, half);
                pose.centre[0] += half * f64::from(quarter / 2);
                pose.centre[1] += half * f64::from(quarter % 2);
                let mut alone = vec![[0.; 3]; size * size];
                let ink = [1., 0., 0.];
                cover(&mut alone, size, Shape::ALL[shapes[quarter as usize] as usize], &pose, ink);
                let area: f64 = alone.iter().map(|value| value[0]).sum();
                assert!((area / (pose.scale * pose.scale) - 1.).abs() < 0.12, "{area}: cut off");
                areas.push(area);
                alone.iter().zip(&mut values).for_each(|(one, all)| {
                    all[1] += f64::min(one[0], all[0]);
                    all[0] = f64::max(one[0], all[0]);
                });
            }
            let overlap: f64 = values.iter().map(|value| value[1]).sum();
            hidden.push(overlap / areas.iter().sum::<f64>());
        }
        let most = hidden.iter().copied().fold(0., f64::max);
        assert!(most < 0.1, "{size}: {most} of the shapes is hidden");
    }
}

#[test]
fn scenes_of_any_size_from_the_smallest_are_drawn() {
    for size in [48, 49, 96] {
        let images = multi_label_images(Split::Train, 3, size, 0).unwrap();
        assert_eq!((images.height(), images.width()), (size, size));
    }
    assert_eq!(
        multi_label_images(Split::Train, 3, 47, 0).unwrap_err().to_string(),
        "synthetic images of 47x47 pixels are too small to tell the shapes apart; use 48 or more"
    );
    assert!(multi_label_images(Split::Test, 0, 48, 0).unwrap().is_empty());
}

/// Of the images of one shape, the edges of stripes tell their direction as in the set of single shapes.
#[test]
fn a_label_is_of_a_shape_that_is_there() {
    let set = set(Split::Test, 2000);
    let mut correct = [0, 0];
    for (index, labels) in labels(&set).iter().enumerate() {
        let ([label @ (7 | 8)], image) = (&labels[..], set.image(index)) else { continue };
        let difference = |a: usize, b: usize| -> u32 {
            (0..3).map(|channel| u32::from(image[a][channel].abs_diff(image[b][channel]))).sum()
        };
        let inner = (0..63 * 63).map(|n| n / 63 * 64 + n % 63);
        let down: u32 = inner.clone().map(|n| difference(n, n + 64)).sum();
        let right: u32 = inner.map(|n| difference(n, n + 1)).sum();
        correct[usize::from((*label == 7) == (down > right))] += 1;
    }
    let [wrong, right] = correct;
    assert!(right > 20 && wrong * 10 <= right, "{correct:?}");
}
