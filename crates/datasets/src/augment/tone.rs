//! Operations by a table of bytes. Pillow: `ImageOps`.

use super::canvas::Canvas;

impl Canvas {
    /// Keeps the `bits` highest bits of every byte. Pillow: `ImageOps.posterize`.
    pub(super) fn posterize(&mut self, bits: u32) {
        let mask = !(0xff_u32 >> bits) as u8;
        self.look_up(&[std::array::from_fn(|byte| byte as u8 & mask); 3]);
    }

    /// Inverts every byte of at least `threshold`. Pillow: `ImageOps.solarize`.
    pub(super) fn solarize(&mut self, threshold: f64) {
        let inverted =
            |byte: usize| if (byte as f64) < threshold { byte as u8 } else { !(byte as u8) };
        self.look_up(&[std::array::from_fn(inverted); 3]);
    }

    /// Stretches each channel so that its darkest byte becomes 0 and its lightest 255; a channel of one byte stays.
    /// Pillow: `ImageOps.autocontrast`.
    pub(super) fn autocontrast(&mut self) {
        let tables = self.histograms().map(|counts| {
            let darkest = counts.iter().position(|&count| count > 0).unwrap_or(0);
            let lightest = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
            if lightest <= darkest {
                return UNCHANGED;
            }
            let scale = 255. / (lightest - darkest) as f64;
            let offset = -(darkest as f64) * scale;
            // The cast drops the fraction and clamps to a byte.
            std::array::from_fn(|byte| (byte as f64 * scale + offset) as u8)
        });
        self.look_up(&tables);
    }

    /// Spreads each channel's bytes evenly while equal bytes stay equal; a channel with fewer than 255 pixels below its
    /// lightest stays. Pillow: `ImageOps.equalize`.
    pub(super) fn equalize(&mut self) {
        let pixels = self.pixels.len() as u32;
        let tables = self.histograms().map(|counts| {
            let of_lightest = counts.iter().rev().find(|&&count| count > 0).copied().unwrap_or(0);
            let step = (pixels - of_lightest) / 255;
            if step == 0 {
                return UNCHANGED;
            }
            let mut below = step / 2;
            counts.map(|count| {
                let value = (below / step).min(255) as u8;
                below += count;
                value
            })
        });
        self.look_up(&tables);
    }
}

/// The table that changes nothing.
const UNCHANGED: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte as u8;
        byte += 1;
    }
    table
};
