//! From the bytes of an image to its place in a batch. Crop, flips, normalisation and cutout are one pass without a
//! copy in between; only operations that need the whole image make one.

use crate::augment::{Canvas, Draw, ErasingValue, PaddingMode, Rectangle};
use crate::normalization::Table;
use crate::random::{Counter, Purpose};
use crate::source::ImageRef;
use crate::{Augmentation, Error, Fit, FlipSchedule, Normalization};

/// An augmentation and a normalisation, checked against the size of the images.
pub(crate) struct Transform {
    augmentation: Augmentation,
    table: Table,
    /// Brings images to that size, where they have any.
    fit: Option<Fit>,
    height: usize,
    width: usize,
}

/// The parts of an image that are 0 after normalisation: of cutout and of erasing.
pub(crate) type Blanks = [Option<Rectangle>; 2];

/// The buffers for one image, reused for the next.
#[derive(Default)]
pub(crate) struct Room {
    window: Canvas,
    between: Vec<[u8; 3]>,
    canvas: Canvas,
}

impl Transform {
    pub(crate) fn new(
        augmentation: Augmentation,
        normalization: Normalization,
        fit: Option<Fit>,
        [height, width]: [usize; 2],
    ) -> Result<Self, Error> {
        augmentation.check(height, width)?;
        Ok(Self { augmentation, table: normalization.table()?, fit, height, width })
    }

    /// Draws the changes of `image` and writes the result to `output`, `[height, width]`. The image has that size, too,
    /// unless it is fitted.
    pub(crate) fn apply(
        &self,
        counter: Counter,
        image: ImageRef,
        output: &mut [[f32; 3]],
        room: &mut Room,
    ) {
        let draw = self.draw(counter);
        let Room { window, between, canvas } = room;
        let image = self.framed(counter, image, window, between);
        if self.keeps_colours() {
            self.gather(image, draw, output, |pixel| self.normalized(pixel));
        } else {
            self.recolour(counter, image, draw, canvas);
            for (pixel, output) in canvas.pixels.iter().zip(&mut *output) {
                *output = self.normalized(*pixel);
            }
        }
        self.cut_out(draw, output);
        if let Some(erasing) = self.augmentation.erasing {
            erasing.apply(&mut counter.stream(Purpose::Erasing), output, self.width);
        }
    }

    /// Draws the changes of `image` and writes its bytes to `output` as they are before normalisation, `[height, width]`.
    /// Returns the parts that are 0 after it: of cutout and of erasing.
    pub(crate) fn bytes(
        &self,
        counter: Counter,
        image: ImageRef,
        output: &mut [[u8; 3]],
        room: &mut Room,
    ) -> Blanks {
        let draw = self.draw(counter);
        let Room { window, between, canvas } = room;
        let image = self.framed(counter, image, window, between);
        if self.keeps_colours() {
            self.gather(image, draw, output, |pixel| pixel);
        } else {
            self.recolour(counter, image, draw, canvas);
            output.copy_from_slice(&canvas.pixels);
        }
        self.blanks(counter, draw)
    }

    /// Draws the changes of an image and writes the row of the image that each row of the result is, and the column that
    /// each column is, to `output`; -1 is black padding. For images that [`Transform::only_moves`] pixels of. Returns the
    /// parts that are 0 after normalisation.
    pub(crate) fn places(&self, counter: Counter, output: &mut [i32]) -> Blanks {
        let draw = self.draw(counter);
        let rows = self.sources(0, self.height, draw).into_iter();
        let sources = rows.chain(self.sources(1, self.width, draw));
        for (source, output) in sources.zip(output) {
            // The sides of an image in memory fit.
            *output = source.map_or(-1, |source| source as i32);
        }
        self.blanks(counter, draw)
    }

    fn blanks(&self, counter: Counter, draw: Draw) -> Blanks {
        let erasing = self.augmentation.erasing.and_then(|erasing| {
            erasing.draw(&mut counter.stream(Purpose::Erasing), self.height, self.width)
        });
        [self.cutout(draw), erasing]
    }

    /// Whether there may be parts that are 0.
    pub(crate) fn blanks_any(&self) -> bool {
        self.augmentation.cutout.is_some() || self.augmentation.erasing.is_some()
    }

    /// Whether the result follows from [`Transform::bytes`].
    pub(crate) fn ends_on_bytes(&self) -> bool {
        let Augmentation { erasing, mix, .. } = self.augmentation;
        mix.is_none() && erasing.is_none_or(|erasing| erasing.value == ErasingValue::Mean)
    }

    /// Whether [`Transform::bytes`] are pixels of the image in other places.
    pub(crate) fn only_moves(&self) -> bool {
        let framed = self.fit.is_some() || self.augmentation.resized_crop.is_some();
        self.keeps_colours() && !framed
    }

    /// Whether no operation changes the colours before normalisation.
    fn keeps_colours(&self) -> bool {
        self.augmentation.policy.is_none() && self.augmentation.jitter.is_none()
    }

    /// The window of `image` that is drawn, or the image in the size that all have.
    fn framed<'a>(
        &self,
        counter: Counter,
        image: ImageRef<'a>,
        window: &'a mut Canvas,
        between: &mut Vec<[u8; 3]>,
    ) -> &'a [[u8; 3]] {
        match (self.augmentation.resized_crop, self.fit) {
            (Some(crop), fit) => {
                window.resize(self.height, self.width);
                let mut rng = counter.stream(Purpose::ResizedCrop);
                let interpolation = fit.map(|fit| fit.interpolation).unwrap_or_default();
                crop.apply(&mut rng, image, interpolation, between, window);
                &window.pixels
            }
            (None, Some(fit)) => {
                fit.onto(image, between, window);
                &window.pixels
            }
            (None, None) => image.pixels,
        }
    }

    /// Writes `image` to `canvas`, cropped, flipped and in other colours.
    fn recolour(&self, counter: Counter, image: &[[u8; 3]], draw: Draw, canvas: &mut Canvas) {
        canvas.resize(self.height, self.width);
        self.gather(image, draw, &mut canvas.pixels, |pixel| pixel);
        if let Some(policy) = self.augmentation.policy {
            policy.apply(&mut counter.stream(Purpose::Policy), canvas);
        }
        if let Some(jitter) = self.augmentation.jitter {
            jitter.apply(&mut counter.stream(Purpose::Jitter), canvas);
        }
    }

    fn draw(&self, counter: Counter) -> Draw {
        let draw = |counter: Counter| {
            self.augmentation.draw(&mut counter.stream(Purpose::Augment), self.height, self.width)
        };
        let mut drawn = draw(counter);
        if self.augmentation.flip_schedule == FlipSchedule::Alternating {
            let [_, first] = draw(Counter { epoch: 0, ..counter }).flips;
            // The upper half counts the times that an image was repeated in the epoch.
            let shown = counter.epoch.wrapping_add(counter.epoch >> 32);
            drawn.flips[1] = first != (shown % 2 == 1);
        }
        drawn
    }

    /// Writes the cropped and flipped `image`, each pixel through `map`.
    fn gather<P: Copy>(
        &self,
        image: &[[u8; 3]],
        draw: Draw,
        output: &mut [P],
        map: impl Fn([u8; 3]) -> P,
    ) {
        let rows = self.sources(0, self.height, draw);
        let columns = self.sources(1, self.width, draw);
        let black = map([0; 3]);
        for (row, output) in rows.iter().zip(output.chunks_exact_mut(self.width)) {
            let Some(row) = *row else {
                output.fill(black);
                continue;
            };
            let row = &image[row * self.width..][..self.width];
            for (&column, pixel) in columns.iter().zip(output) {
                *pixel = match column {
                    Some(column) => map(row[column]),
                    None => black,
                };
            }
        }
    }

    fn cutout(&self, draw: Draw) -> Option<Rectangle> {
        let side = self.augmentation.cutout?;
        Some(Rectangle::around(draw.centre, side, [self.height, self.width]))
    }

    fn cut_out(&self, draw: Draw, output: &mut [[f32; 3]]) {
        let Some(part) = self.cutout(draw) else { return };
        let (rows, columns) = (part.rows(), part.columns());
        for row in output.chunks_exact_mut(self.width).take(rows.end).skip(rows.start) {
            row[columns.clone()].fill([0.; 3]);
        }
    }

    fn normalized(&self, pixel: [u8; 3]) -> [f32; 3] {
        let [red, green, blue] = pixel.map(usize::from);
        [self.table[0][red], self.table[1][green], self.table[2][blue]]
    }

    /// The place in the image of each position of the output along one axis (0 vertical, 1 horizontal); `None` is black
    /// padding.
    fn sources(&self, axis: usize, size: usize, draw: Draw) -> Vec<Option<usize>> {
        let (padding, mode) = match self.augmentation.crop {
            Some(crop) => (crop.padding, crop.mode),
            None => (0, PaddingMode::Zero),
        };
        let source = |position: usize| {
            let cropped = if draw.flips[axis] { size - 1 - position } else { position };
            // The image starts at `padding` in the padded image.
            let padded = cropped + draw.offsets[axis];
            match mode {
                PaddingMode::Zero => padded.checked_sub(padding).filter(|&source| source < size),
                PaddingMode::Reflect => {
                    let distance = padded.abs_diff(padding);
                    Some(if distance < size { distance } else { 2 * (size - 1) - distance })
                }
            }
        };
        (0..size).map(source).collect()
    }
}

#[cfg(test)]
mod tests;
