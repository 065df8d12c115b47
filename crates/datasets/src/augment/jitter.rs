//! Random changes of colour.

use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use crate::Error;
use crate::random::{below, uniform};

/// Changes brightness, contrast, saturation and hue, each by its own draw, in random order. torchvision:
/// `ColorJitter` on a PIL image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter {
    /// The factor is uniform from 1 minus this (but at least 0) to 1 plus this.
    pub brightness: f64,
    /// The factor is uniform from 1 minus this (but at least 0) to 1 plus this.
    pub contrast: f64,
    /// The factor is uniform from 1 minus this (but at least 0) to 1 plus this.
    pub saturation: f64,
    /// The rotation is uniform from minus this to this, in turns of the colour circle; at most 0.5.
    pub hue: f64,
}

impl Jitter {
    pub(super) fn check(&self) -> Result<(), Error> {
        let factors = [
            ("jitter.brightness", self.brightness),
            ("jitter.contrast", self.contrast),
            ("jitter.saturation", self.saturation),
        ];
        for (option, value) in factors {
            if !(value.is_finite() && value >= 0.) {
                return Err(Error::OutOfRange { option, value, accepted: "a number of 0 or more" });
            }
        }
        if !(0. ..=0.5).contains(&self.hue) {
            let (option, accepted) = ("jitter.hue", "a number from 0 to 0.5");
            return Err(Error::OutOfRange { option, value: self.hue, accepted });
        }
        Ok(())
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Draw {
        let factors = [self.brightness, self.contrast, self.saturation]
            .map(|most| uniform(rng, [(1. - most).max(0.), 1. + most]));
        let hue = uniform(rng, [-self.hue, self.hue]);
        let mut order = [0, 1, 2, 3];
        for last in (1..order.len()).rev() {
            order.swap(last, below(rng, last as u64 + 1) as usize);
        }
        Draw { factors, hue, order }
    }

    /// Draws and changes the colours of `canvas`. An option of 0 changes nothing.
    pub(crate) fn apply(&self, rng: &mut ChaCha8Rng, canvas: &mut Canvas) {
        let Draw { factors: [brightness, contrast, saturation], hue, order } = self.draw(rng);
        for change in order {
            match change {
                0 if self.brightness > 0. => canvas.brightness(brightness),
                1 if self.contrast > 0. => canvas.contrast(contrast),
                2 if self.saturation > 0. => canvas.saturation(saturation),
                3 if self.hue > 0. => canvas.hue(hue),
                _ => {}
            }
        }
    }
}

struct Draw {
    /// The factors of brightness, contrast and saturation.
    factors: [f64; 3],
    hue: f64,
    order: [usize; 4],
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::{Purpose, stream};

    const JITTER: Jitter = Jitter { brightness: 0.4, contrast: 1.5, saturation: 0.2, hue: 0.1 };

    fn draws() -> Vec<Draw> {
        (0..24_000).map(|index| JITTER.draw(&mut stream(0, Purpose::Jitter, 0, index))).collect()
    }

    #[test]
    fn draws_fill_their_ranges() {
        let check = |of: fn(&Draw) -> f64, low: f64, high: f64| {
            let values: Vec<f64> = draws().iter().map(of).collect();
            assert!(values.iter().all(|value| (low..high).contains(value)));
            let near = (high - low) / 1000.;
            assert!(values.iter().any(|&value| value < low + near));
            assert!(values.iter().any(|&value| value > high - near));
        };
        check(|draw| draw.factors[0], 0.6, 1.4);
        check(|draw| draw.factors[1], 0., 2.5);
        check(|draw| draw.factors[2], 0.8, 1.2);
        check(|draw| draw.hue, -0.1, 0.1);
    }

    #[test]
    fn every_order_is_drawn_equally_often() {
        let mut counts = BTreeMap::<_, u32>::new();
        for draw in draws() {
            *counts.entry(draw.order).or_default() += 1;
        }
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|count| count.abs_diff(1000) < 160), "{counts:?}");
    }

    #[test]
    fn options_of_zero_change_nothing() {
        let mut canvas = Canvas::default();
        canvas.resize(16, 16);
        for (n, pixel) in canvas.pixels.iter_mut().enumerate() {
            *pixel = [n as u8, (n * 7) as u8, (n * 31) as u8];
        }
        let before = canvas.pixels.clone();
        let none = Jitter { brightness: 0., contrast: 0., saturation: 0., hue: 0. };
        none.apply(&mut stream(0, Purpose::Jitter, 0, 0), &mut canvas);
        assert_eq!(canvas.pixels, before);
        JITTER.apply(&mut stream(0, Purpose::Jitter, 0, 0), &mut canvas);
        assert_ne!(canvas.pixels, before);
    }
}
