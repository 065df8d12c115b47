//! The colours of a map, and how they lie over an image.

/// The colours from 0 to 1, evenly spaced: Matplotlib's `plasma` (CC0), in which equal steps look equally large.
const PLASMA: [[u8; 3]; 17] = [
    [13, 8, 135],
    [49, 5, 151],
    [76, 2, 161],
    [102, 0, 167],
    [126, 3, 168],
    [149, 17, 161],
    [170, 35, 149],
    [188, 53, 135],
    [204, 71, 120],
    [218, 90, 106],
    [230, 108, 92],
    [240, 128, 78],
    [248, 149, 64],
    [253, 172, 51],
    [253, 197, 39],
    [248, 223, 37],
    [240, 249, 33],
];

/// Opacity of the strongest place, through which the image still shows.
const STRONGEST: f32 = 0.75;

/// The colour of `strength`, between 0 and 1.
pub(super) fn colour(strength: f32) -> [u8; 3] {
    let place = strength_of(strength) * (PLASMA.len() - 1) as f32;
    let below = (place as usize).min(PLASMA.len() - 2);
    mixed(PLASMA[below], PLASMA[below + 1], place - below as f32)
}

/// `pixel` under the colour of `strength`, which is the more opaque the stronger it is.
pub(super) fn blended(pixel: [u8; 3], strength: f32) -> [u8; 3] {
    mixed(pixel, colour(strength), STRONGEST * strength_of(strength))
}

fn strength_of(number: f32) -> f32 {
    if number.is_nan() { 0. } else { number.clamp(0., 1.) }
}

fn mixed(one: [u8; 3], other: [u8; 3], share: f32) -> [u8; 3] {
    std::array::from_fn(|channel| {
        let [one, other] = [one, other].map(|colour| f32::from(colour[channel]));
        (one + (other - one) * share).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L* of CIELAB, 0 to 100.
    fn lightness(colour: [u8; 3]) -> f64 {
        let [r, g, b] = colour.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        116.0 * (0.2126 * r + 0.7152 * g + 0.0722 * b).cbrt() - 16.0
    }

    #[test]
    fn colours_become_lighter_in_even_steps() {
        let steps: Vec<f64> = (0..20)
            .map(|step| {
                let [from, to] = [step, step + 1].map(|step| colour(step as f32 / 20.0));
                lightness(to) - lightness(from)
            })
            .collect();
        let mean = steps.iter().sum::<f64>() / 20.0;
        assert!(steps.iter().all(|step| (0.7 * mean..1.35 * mean).contains(step)), "{steps:?}");
        assert_eq!([colour(0.), colour(0.5), colour(1.)], [PLASMA[0], PLASMA[8], PLASMA[16]]);
    }

    #[test]
    fn a_weak_place_stays_as_it_was() {
        let pixel = [10, 200, 90];
        assert_eq!(blended(pixel, 0.), pixel);
        assert_eq!(blended(pixel, f32::NAN), pixel);
        assert_eq!(blended([0; 3], 1.), PLASMA[16].map(|c| (f32::from(c) * 0.75).round() as u8));
        // Half as strong, half as opaque.
        assert_eq!(blended([0; 3], 0.5), PLASMA[8].map(|c| (f32::from(c) * 0.375).round() as u8));
        assert_eq!(blended([0; 3], 7.), blended([0; 3], 1.), "no place is stronger than 1");
    }
}
