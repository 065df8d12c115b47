//! The bytes of an image while they are changed, and the buffers for it.

/// The bytes of one image, `[height, width]` of RGB. Kept from image to image to save allocations.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(crate) pixels: Vec<[u8; 3]>,
    /// The output of operations that cannot write in place.
    spare: Vec<[u8; 3]>,
}

impl Canvas {
    /// Takes the size of an image, whose pixels the caller then writes.
    pub(crate) fn resize(&mut self, height: usize, width: usize) {
        (self.height, self.width) = (height, width);
        self.pixels.resize(height * width, [0; 3]);
    }

    /// Replaces every pixel by the result of `pixel` for the image, the row and the column.
    pub(super) fn redraw(&mut self, pixel: impl Fn(&[[u8; 3]], usize, usize) -> [u8; 3]) {
        self.spare.clear();
        for row in 0..self.height {
            self.spare.extend((0..self.width).map(|column| pixel(&self.pixels, row, column)));
        }
        std::mem::swap(&mut self.pixels, &mut self.spare);
    }

    /// Replaces every byte by its entry in its channel's table.
    pub(super) fn look_up(&mut self, tables: &[[u8; 256]; 3]) {
        for pixel in &mut self.pixels {
            for (byte, table) in pixel.iter_mut().zip(tables) {
                *byte = table[usize::from(*byte)];
            }
        }
    }

    /// The count of each byte, for each channel.
    pub(super) fn histograms(&self) -> [[u32; 256]; 3] {
        let mut counts = [[0; 256]; 3];
        for pixel in &self.pixels {
            for (counts, &byte) in counts.iter_mut().zip(pixel) {
                counts[usize::from(byte)] += 1;
            }
        }
        counts
    }
}
