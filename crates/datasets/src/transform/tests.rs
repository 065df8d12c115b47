//! Every step of the transform by hand, and the order of the steps.

use super::*;
use crate::Crop;

const PLAIN: Draw = Draw { offsets: [0; 2], flips: [false; 2], centre: [0; 2] };

/// The bytes of `image` (one channel; the others are 0) after `draw`. Padding is 0, and
/// what is cut out -1.
fn transformed<const H: usize, const W: usize>(
    image: [[u8; W]; H],
    augmentation: Augmentation,
    draw: Draw,
) -> [[i32; W]; H] {
    let shift = Normalization { mean: [-1. / 255., 0., 0.], std: [1.; 3] };
    let transform = Transform::new(augmentation, shift, None, [H, W]).unwrap();
    let pixels: Vec<_> = image.as_flattened().iter().map(|&value| [value, 0, 0]).collect();
    let mut output = vec![[f32::NAN; 3]; H * W];
    write(&transform, &pixels, draw, &mut output);
    // The mean of -1 makes the cut-out's 0 differ from every byte.
    std::array::from_fn(|row| {
        std::array::from_fn(|column| (output[row * W + column][0] * 255.).round() as i32 - 1)
    })
}

/// Writes `image` after `draw`, normalised.
fn write(transform: &Transform, image: &[[u8; 3]], draw: Draw, output: &mut [[f32; 3]]) {
    transform.gather(image, draw, output, |pixel| transform.normalized(pixel));
    transform.cut_out(draw, output);
}

fn crop(padding: usize, mode: PaddingMode) -> Augmentation {
    Augmentation { crop: Some(Crop { padding, mode }), ..Augmentation::default() }
}

#[test]
fn zero_padding_by_hand() {
    let check = |offsets, expected| {
        let draw = Draw { offsets, ..PLAIN };
        let image = [[1, 2, 3], [4, 5, 6]];
        assert_eq!(transformed(image, crop(1, PaddingMode::Zero), draw), expected);
    };
    check([1, 1], [[1, 2, 3], [4, 5, 6]]);
    check([0, 0], [[0, 0, 0], [0, 1, 2]]);
    check([2, 0], [[0, 4, 5], [0, 0, 0]]);
    check([0, 2], [[0, 0, 0], [2, 3, 0]]);
    check([2, 2], [[5, 6, 0], [0, 0, 0]]);
    check([1, 2], [[2, 3, 0], [5, 6, 0]]);
}

#[test]
fn reflect_padding_by_hand() {
    let check = |padding, offsets, expected| {
        let draw = Draw { offsets, ..PLAIN };
        let image = [[1, 2, 3], [4, 5, 6], [7, 8, 9]];
        assert_eq!(transformed(image, crop(padding, PaddingMode::Reflect), draw), expected);
    };
    check(1, [1, 1], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
    check(1, [0, 0], [[5, 4, 5], [2, 1, 2], [5, 4, 5]]);
    check(1, [2, 2], [[5, 6, 5], [8, 9, 8], [5, 6, 5]]);
    check(2, [0, 0], [[9, 8, 7], [6, 5, 4], [3, 2, 1]]);
    check(2, [4, 4], [[9, 8, 7], [6, 5, 4], [3, 2, 1]]);
    check(2, [2, 4], [[3, 2, 1], [6, 5, 4], [9, 8, 7]]);
}

#[test]
fn flips_by_hand() {
    let check = |flips, expected| {
        let draw = Draw { flips, ..PLAIN };
        let image = [[1, 2, 3], [4, 5, 6]];
        assert_eq!(transformed(image, Augmentation::default(), draw), expected);
    };
    check([false, false], [[1, 2, 3], [4, 5, 6]]);
    check([true, false], [[4, 5, 6], [1, 2, 3]]);
    check([false, true], [[3, 2, 1], [6, 5, 4]]);
    check([true, true], [[6, 5, 4], [3, 2, 1]]);
}

#[test]
fn the_crop_comes_before_the_flip() {
    let draw = Draw { offsets: [0, 0], flips: [true, true], ..PLAIN };
    let output = transformed([[1, 2, 3], [4, 5, 6]], crop(1, PaddingMode::Zero), draw);
    assert_eq!(output, [[2, 1, 0], [0, 0, 0]]);
}

#[test]
fn cutouts_are_clipped_at_the_edges() {
    let check = |size, centre, expected| {
        let augmentation = Augmentation { cutout: Some(size), ..Augmentation::default() };
        let draw = Draw { centre, ..PLAIN };
        let image = [[1, 2, 3], [4, 5, 6], [7, 8, 9]];
        assert_eq!(transformed(image, augmentation, draw), expected);
    };
    check(1, [0, 1], [[1, -1, 3], [4, 5, 6], [7, 8, 9]]);
    check(2, [1, 1], [[-1, -1, 3], [-1, -1, 6], [7, 8, 9]]);
    check(2, [0, 0], [[-1, 2, 3], [4, 5, 6], [7, 8, 9]]);
    check(2, [2, 2], [[1, 2, 3], [4, -1, -1], [7, -1, -1]]);
    check(3, [2, 0], [[1, 2, 3], [-1, -1, 6], [-1, -1, 9]]);
    check(3, [1, 1], [[-1; 3]; 3]);
}

#[test]
fn padding_is_normalised_black_and_channels_keep_their_constants() {
    let normalization = Normalization::CIFAR10_NOTEBOOK;
    let transform =
        Transform::new(crop(1, PaddingMode::Zero), normalization, None, [2; 2]).unwrap();
    let mut output = [[0.; 3]; 4];
    write(&transform, &[[10, 20, 30]; 4], PLAIN, &mut output);
    let black = normalization.apply([0; 3]);
    assert_eq!(output, [black, black, black, normalization.apply([10, 20, 30])]);
}

/// The transformed pixels of an image whose bytes are all different.
fn applied(augmentation: Augmentation, epoch: u64, index: u64) -> Vec<[f32; 3]> {
    let transform = Transform::new(augmentation, Normalization::HALF, None, [8, 9]).unwrap();
    let image: Vec<_> = (0..72).map(|n| [3 * n, 3 * n + 1, 3 * n + 2]).collect();
    let mut output = vec![[f32::NAN; 3]; 72];
    let counter = Counter { seed: 5, epoch, index };
    let image = ImageRef { pixels: &image, height: 8, width: 9 };
    transform.apply(counter, image, &mut output, &mut Room::default());
    output
}

fn mirrored(image: &[[f32; 3]]) -> Vec<[f32; 3]> {
    image.chunks(9).flat_map(|row| row.iter().rev().copied()).collect()
}

#[test]
fn alternating_flips_show_both_sides_in_turn() {
    let random = Augmentation { horizontal_flip: 0.5, ..Augmentation::default() };
    let alternating = Augmentation { flip_schedule: FlipSchedule::Alternating, ..random };
    let mut flipped = 0;
    for index in 0..200 {
        let first = applied(alternating, 0, index);
        assert_eq!(first, applied(random, 0, index), "epoch 0 draws as ever");
        flipped += u32::from(first != applied(Augmentation::default(), 0, index));
        for epoch in [1, 2, 3, 100, 101] {
            let odd = epoch % 2 == 1;
            let expected = if odd { mirrored(&first) } else { first.clone() };
            assert_eq!(applied(alternating, epoch, index), expected, "epoch {epoch}");
        }
    }
    assert!(flipped.abs_diff(100) < 36, "{flipped}");
    // The draws of the other decisions are those of the epoch.
    let crop = |flip| Augmentation { crop: Augmentation::NOTEBOOK.crop, ..flip };
    let (alternating, random) = (applied(crop(alternating), 7, 3), applied(crop(random), 7, 3));
    assert!(alternating == random || alternating == mirrored(&random));
}

#[test]
fn families_do_not_move_each_others_draws() {
    let erasing = crate::Erasing {
        probability: 1.,
        scale: [0.2, 0.2],
        ratio: [1., 1.],
        value: ErasingValue::Mean,
    };
    let jitter = crate::Jitter { brightness: 0.5, contrast: 0., saturation: 0., hue: 0. };
    let plain = Augmentation::NOTEBOOK;
    let brighter = Augmentation { jitter: Some(jitter), ..plain };
    let erased = Augmentation { erasing: Some(erasing), ..plain };
    let both = Augmentation { erasing: Some(erasing), ..brighter };
    for index in 0..50 {
        let [plain, brighter, erased, both] =
            [plain, brighter, erased, both].map(|options| applied(options, 2, index));
        assert_ne!(plain, brighter);
        for (at, both) in both.iter().enumerate() {
            let gone = plain[at] != erased[at];
            assert_eq!(*both, if gone { [0.; 3] } else { brighter[at] });
        }
    }
}

/// A pass with bytes in between gives the same result as one without.
#[test]
fn a_policy_that_changes_nothing_changes_nothing() {
    let without = Augmentation { cutout: Some(3), ..Augmentation::NOTEBOOK };
    let jitter = crate::Jitter { brightness: 0., contrast: 0., saturation: 0., hue: 0. };
    let whole = crate::ResizedCrop { scale: [1., 1.], ratio: [1.125, 1.125] };
    let zero_crop = Augmentation { crop: None, ..without };
    for index in 0..50 {
        let with = Augmentation { jitter: Some(jitter), ..without };
        assert_eq!(applied(with, 1, index), applied(without, 1, index));
        let with = Augmentation { resized_crop: Some(whole), ..zero_crop };
        assert_eq!(applied(with, 1, index), applied(zero_crop, 1, index));
    }
}

#[test]
fn the_window_is_cut_before_flips_and_policy() {
    let crop = crate::ResizedCrop { scale: [0.3, 0.3], ratio: [1., 1.] };
    let cropped = Augmentation { resized_crop: Some(crop), ..Augmentation::default() };
    let flipped = Augmentation { horizontal_flip: 1., ..cropped };
    let policy = crate::Policy::TrivialAugmentWide;
    let changed = Augmentation { policy: Some(policy), ..flipped };
    let images: Vec<_> = (0..100).map(|index| applied(changed, 0, index)).collect();
    let same = (0..100).filter(|&index| {
        let window = applied(cropped, 0, index);
        assert_eq!(applied(flipped, 0, index), mirrored(&window));
        images[index as usize] == mirrored(&window)
    });
    // Identity is one of fourteen, equalize and bins of nothing stay too.
    assert!((2..50).contains(&same.count()));
}
