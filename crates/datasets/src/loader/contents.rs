//! The images of a batch while they are written, one after the other: normalised numbers, bytes, or places in a set.

use tch::kind::Element;
use tch::{Device, Kind, Tensor};

use crate::Error;
use crate::augment::Rectangle;
use crate::random::Counter;
use crate::source::{Decoded, Source};
use crate::transform::{Room, Transform};

/// The form of the images that a loader yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Normalised numbers, ready for a network.
    Normalized,
    /// Bytes before normalisation.
    Bytes,
    /// Places in a set that is on the device.
    Places,
}

/// Images that a device finishes: bytes or places, and the parts that become 0.
pub(super) struct Unfinished {
    form: Form,
    /// Height and width of an image.
    size: [usize; 2],
    /// `[n, height, width]` of RGB, for bytes.
    pixels: Vec<[u8; 3]>,
    /// `[n, 1 + height + width]`, for places: the number of the image, then the row or column at each position.
    places: Vec<i32>,
    /// `[n, 2, 4]`: first row, row after the last, first column, column after the last.
    blanks: Vec<i32>,
}

/// The tensors of [`Unfinished`] images: `[n, 3, height, width]` of bytes or `[n, 1 + height + width]`, and the blanks, if any.
pub(super) struct Finished {
    pub(super) images: Tensor,
    pub(super) blanks: Option<Tensor>,
}

/// The numbers of one rectangle.
const CORNERS: usize = 4;
/// The rectangles of one image.
const BLANKS: usize = 2;

impl Unfinished {
    /// For batches of images of `size`, in another form than [`Form::Normalized`].
    pub(super) fn new(form: Form, size: [usize; 2]) -> Self {
        Self { form, size, pixels: Vec::new(), places: Vec::new(), blanks: Vec::new() }
    }

    /// Makes room for `images` images.
    pub(super) fn resize(&mut self, images: usize) {
        match self.form {
            Form::Places => self.places.resize(images * self.stride(), 0),
            _ => self.pixels.resize(images * self.area(), [0; 3]),
        }
        self.blanks.clear();
    }

    /// Writes image `counter.index` of `images` to `place`; images come in the order of their places.
    pub(super) fn write(
        &mut self,
        counter: Counter,
        place: usize,
        images: &dyn Source,
        transform: &Transform,
        room: (&mut Room, &mut Decoded),
    ) -> Result<(), Error> {
        // The loader refuses sets of more than 2³² images.
        let index = counter.index as usize;
        let blanks = match self.form {
            Form::Places => {
                let stride = self.stride();
                let output = &mut self.places[place * stride..][..stride];
                // A set in memory has no more images than bytes, of which the device holds fewer than 2³¹.
                output[0] = index as i32;
                transform.places(counter, &mut output[1..])
            }
            _ => {
                let area = self.area();
                let image = images.image(index, room.1)?;
                transform.bytes(counter, image, &mut self.pixels[place * area..][..area], room.0)
            }
        };
        if transform.blanks_any() {
            self.blanks.extend(blanks.into_iter().flat_map(corners));
        }
        Ok(())
    }

    /// The first `images` images as tensors.
    pub(super) fn finish(&self, images: usize) -> Finished {
        let [height, width] = self.size.map(|side| side as i64);
        let n = images as i64;
        let written = match self.form {
            Form::Places => tensor(&self.places[..images * self.stride()]).view([n, -1]),
            _ => tensor(self.pixels[..images * self.area()].as_flattened())
                .view([n, height, width, 3])
                .permute([0, 3, 1, 2]),
        };
        let blanks = (!self.blanks.is_empty())
            .then(|| tensor(&self.blanks).view([n, BLANKS as i64, CORNERS as i64]));
        Finished { images: written, blanks }
    }

    /// Whether the images are places in a set.
    pub(super) fn are_places(&self) -> bool {
        self.form == Form::Places
    }

    fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }

    fn stride(&self) -> usize {
        1 + self.size[0] + self.size[1]
    }
}

/// A rectangle as four numbers; none has no rows and no columns.
fn corners(part: Option<Rectangle>) -> [i32; CORNERS] {
    part.map_or([0; CORNERS], |part| {
        let (rows, columns) = (part.rows(), part.columns());
        // The sides of an image that fits into memory.
        [rows.start, rows.end, columns.start, columns.end].map(|side| side as i32)
    })
}

/// The most elements that libtorch copies in the calling thread: one fewer than `at::internal::GRAIN_SIZE`.
const ONE_THREAD: usize = 32_767;

/// A tensor of `values`, copied piece by piece. libtorch would spread a larger copy over OpenMP threads, and in the
/// loader's thread that is another pool, which fights for the cores with the network's.
pub(super) fn tensor<T: Element>(values: &[T]) -> Tensor {
    let kind: Kind = T::KIND;
    let tensor = Tensor::empty([values.len() as i64], (kind, Device::Cpu));
    let pieces = tensor.split(ONE_THREAD as i64, 0);
    for (mut piece, values) in pieces.into_iter().zip(values.chunks(ONE_THREAD)) {
        piece.copy_(&Tensor::from_slice(values));
    }
    tensor
}
