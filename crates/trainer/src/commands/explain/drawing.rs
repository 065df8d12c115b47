//! The image that `explain` writes: panels beside each other, each with two lines of text below it.

use tch::Tensor;

use super::colour::blended;
use super::font::{self, Letter};
use crate::network::images::{self, Prepared};

/// The number of rows and columns that a smaller image is enlarged to, about.
const SMALLEST_SIDE: usize = 256;
/// Pixels around a panel's image.
const MARGIN: usize = 6;
/// The side of an image for which a dot of a letter is one pixel larger.
const SIDE_OF_A_DOT: usize = 140;

const GROUND: [u8; 3] = [24, 24, 28];
const TITLE: [u8; 3] = [245, 245, 245];
const NOTE: [u8; 3] = [160, 160, 170];

/// The text below an image.
pub(super) struct Caption {
    pub(super) title: String,
    /// In the second line, on the left.
    pub(super) figure: String,
    /// In the second line, on the right, where there is room.
    pub(super) note: String,
}

/// An image with its caption.
pub(super) struct Panel {
    side: usize,
    pixels: Vec<[u8; 3]>,
    caption: Caption,
}

impl Panel {
    /// The image as the network receives it.
    pub(super) fn original(prepared: &Prepared, caption: Caption) -> Self {
        let (pixels, side) = enlarged(&prepared.pixels, prepared.side);
        Self { side, pixels, caption }
    }

    /// The image under `map` `[h, w]`, 0 to 1.
    pub(super) fn overlay(prepared: &Prepared, map: &Tensor, caption: Caption) -> Self {
        let original = Self::original(prepared, caption);
        let size = [original.side as i64; 2];
        let map = map.unsqueeze(0).unsqueeze(0).upsample_bilinear2d(size, false, None, None);
        let map: Vec<f32> = map.contiguous().view([-1]).try_into().expect("one number a pixel");
        let pixels = original.pixels.iter().zip(map);
        Self {
            pixels: pixels.map(|(pixel, strength)| blended(*pixel, strength)).collect(),
            ..original
        }
    }
}

/// `panels` of one size in a row, as PNG.
pub(super) fn row(panels: &[Panel]) -> Vec<u8> {
    let side = panels.first().map_or(0, |panel| panel.side);
    let dot = ((side + SIDE_OF_A_DOT / 2) / SIDE_OF_A_DOT).max(1);
    let line = (font::ROWS + 3) * dot;
    let panel_width = side + 2 * MARGIN;
    let (width, height) = (panels.len() * panel_width, side + 3 * MARGIN + 2 * line);
    let mut canvas = Canvas { width, pixels: vec![GROUND; width * height] };
    for (index, Panel { pixels, caption, .. }) in panels.iter().enumerate() {
        let left = index * panel_width + MARGIN;
        for (row, pixels) in pixels.chunks(side).enumerate() {
            canvas.row_at(left, MARGIN + row, pixels);
        }
        let top = side + 2 * MARGIN;
        let room = side / dot;
        canvas.text([left, top], dot, TITLE, &font::fitted(&caption.title, room));
        let figure = font::fitted(&caption.figure, room);
        let taken = font::columns(&figure);
        canvas.text([left, top + line], dot, TITLE, &figure);
        // Letters lie two columns or more apart.
        let note = font::fitted(&caption.note, room.saturating_sub(taken + 6));
        let left = left + (room - font::columns(&note)) * dot;
        canvas.text([left, top + line], dot, NOTE, &note);
    }
    images::png(&canvas.pixels, width, height)
}

/// Pixels that are drawn on, row by row.
struct Canvas {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Canvas {
    fn row_at(&mut self, left: usize, row: usize, pixels: &[[u8; 3]]) {
        let start = row * self.width + left;
        self.pixels[start..start + pixels.len()].copy_from_slice(pixels);
    }

    /// Draws `letters` to the right of and below `[left, top]`, with `dot` by `dot` pixels for each dot.
    fn text(&mut self, [left, top]: [usize; 2], dot: usize, ink: [u8; 3], letters: &[Letter]) {
        let inked = vec![ink; dot];
        let mut left = left;
        for letter in letters {
            for row in 0..font::ROWS * dot {
                for column in (0..letter.columns).filter(|&column| letter.ink[row / dot][column]) {
                    self.row_at(left + column * dot, top + row, &inked);
                }
            }
            left += (letter.columns + 1) * dot;
        }
    }
}

/// Enlarges a small image: each pixel becomes a square.
fn enlarged(pixels: &[[u8; 3]], side: usize) -> (Vec<[u8; 3]>, usize) {
    let times = ((SMALLEST_SIDE + side / 2) / side).max(1);
    let drawn = side * times;
    let pixel = |place: usize| pixels[place / drawn / times * side + place % drawn / times];
    ((0..drawn * drawn).map(pixel).collect(), drawn)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn caption(title: &str, figure: &str, note: &str) -> Caption {
        Caption { title: title.to_string(), figure: figure.to_string(), note: note.to_string() }
    }

    fn prepared(side: usize) -> Prepared {
        let image = Tensor::zeros([1, 3, 1, 1], (Kind::Float, Device::Cpu));
        Prepared { pixels: vec![[0, 90, 0]; side * side], side, size: [side, side], image }
    }

    #[test]
    fn small_images_are_drawn_large() {
        let pixels = [[1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0]];
        let (drawn, side) = enlarged(&pixels, 2);
        assert_eq!((drawn.len(), side), (256 * 256, 256));
        let at = |row: usize, column: usize| drawn[row * 256 + column][0];
        assert_eq!([at(0, 0), at(127, 128), at(128, 127), at(255, 255)], [1, 2, 3, 4]);
        let side = |side: usize| enlarged(&vec![[7; 3]; side * side], side).1;
        assert_eq!([150, 224, 300].map(side), [300, 224, 300]);
    }

    /// The left half of the map is 1, the right one 0.
    #[test]
    fn panels_stand_beside_each_other_above_their_text() {
        let image = prepared(300);
        let map = Tensor::from_slice(&[1f32, 0.]).view([1, 2]);
        let panels = [
            Panel::original(&image, caption("original", "", "")),
            Panel::overlay(&image, &map, caption("cat", "47.00 %", "Grad-CAM")),
        ];
        let both = image::load_from_memory(&row(&panels)).unwrap().into_rgb8();
        assert_eq!(both.dimensions(), (2 * 312, 300 + 18 + 2 * 24));
        let one = image::load_from_memory(&row(&panels[1..])).unwrap().into_rgb8();
        assert_eq!(one.dimensions().0, 312);
        let at = |column: u32, row: u32| both.get_pixel(column, row).0;
        assert_eq!([at(0, 0), at(311, 9), at(6, 6), at(305, 305)][..2], [GROUND; 2]);
        assert_eq!([at(6, 6), at(305, 305), at(312 + 305, 50)], [[0, 90, 0]; 3]);
        assert_eq!(at(312 + 6, 50), blended([0, 90, 0], 1.));
        // A stroke of the c is inked, and nothing outside of the words.
        let inked = |columns: std::ops::Range<u32>, rows: std::ops::Range<u32>| {
            rows.flat_map(|row| columns.clone().map(move |column| at(column, row)))
                .filter(|&pixel| pixel != GROUND)
                .count()
        };
        let letters = |text: &str| {
            let letters = font::letters(text);
            letters
                .iter()
                .flat_map(|letter| letter.ink.as_flattened().to_vec())
                .filter(|i| *i)
                .count()
        };
        assert_eq!(inked(312..624, 312..336), 4 * letters("cat"));
        assert_eq!(inked(312..624, 336..366), 4 * letters("47.00%Grad-CAM"));
        assert_eq!(inked(0..312, 336..366), 0);
    }

    #[test]
    fn text_never_leaves_its_panel() {
        for side in [32, 150, 299, 1000] {
            let long = "a very long name of a class, as lists of animals have them".repeat(3);
            let panel = Panel::original(&prepared(side), caption(&long, "100.00 %", &long));
            let drawn = image::load_from_memory(&row(&[panel])).unwrap().into_rgb8();
            let right = drawn.width() - MARGIN as u32;
            assert!((right..drawn.width()).all(|column| {
                (0..drawn.height()).all(|row| drawn.get_pixel(column, row).0 == GROUND)
            }));
        }
    }
}
