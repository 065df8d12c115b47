//! The last operations on a batch, on the device of the network.
//!
//! A GPU normalises in no time, and bytes are a quarter of the numbers that would travel to it. A set that fits into its
//! memory does not travel at all: its batches are places, four bytes for each row and column of an image.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

use super::Batch;
use crate::source::Source;
use crate::{Images, Normalization};

/// The most bytes of a set that is copied to a device.
const LARGEST_SET: usize = 1 << 31;

/// Finishes the batches of one loader on one device.
#[derive(Clone)]
pub(super) struct Finisher {
    device: Device,
    constants: Arc<Mutex<Constants>>,
    has_set: bool,
}

/// Tensors on the device.
struct Constants {
    /// 255, the means and the deviations: `[3, 1, 1]` each, fp32.
    normalization: [Tensor; 3],
    /// `[images * height * width, 3]`, bytes.
    set: Option<Tensor>,
    /// Rows of an image in the set, and columns.
    size: [i64; 2],
}

/// The operations that a batch's images still lack.
pub struct Rest {
    finisher: Finisher,
    /// Whether the images are places in the set.
    are_places: bool,
    /// `[n, 2, 4]`, int32: rows from and to, columns from and to, of the parts that are 0 in the end.
    blanks: Option<Tensor>,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("device", &self.finisher.device)
            .field("are_places", &self.are_places)
            .field("blanks", &self.blanks)
            .finish()
    }
}

impl Finisher {
    /// For images of `size` out of `images`, on `device`. Copies the set there, if `with_set` and it is in memory and fits.
    pub(super) fn new(
        images: &dyn Source,
        normalization: &Normalization,
        device: Device,
        with_set: bool,
    ) -> Self {
        let channels = |values: [f64; 3]| {
            let values = values.map(|value| value as f32);
            Tensor::from_slice(&values).view([3, 1, 1]).to_device(device)
        };
        let set = images.in_memory().filter(|_| with_set).and_then(|set| on_device(set, device));
        let size = images.size().unwrap_or_default().map(|side| side as i64);
        let Normalization { mean, std } = *normalization;
        let has_set = set.is_some();
        let normalization = [channels([255.0; 3]), channels(mean), channels(std)];
        let constants = Arc::new(Mutex::new(Constants { normalization, set, size }));
        Self { device, constants, has_set }
    }

    /// Whether batches may be places in the set.
    pub(super) fn has_set(&self) -> bool {
        self.has_set
    }

    /// The operations that a batch lacks whose images are bytes or places.
    pub(super) fn rest(&self, are_places: bool, blanks: Option<Tensor>) -> Rest {
        Rest { finisher: self.clone(), are_places, blanks }
    }
}

impl Rest {
    /// The images, from what the batch has of them.
    fn apply<E: From<TchError>>(
        &self,
        images: &Tensor,
        mut copy: impl FnMut(&Tensor) -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        let (start, blanks) = (copy(images)?, self.blanks.as_ref().map(&mut copy).transpose()?);
        // A panic while it was locked leaves constants that are as they were.
        let constants = self.finisher.constants.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = match constants.set.as_ref().filter(|_| self.are_places) {
            Some(set) => gather(set, &start, constants.size)?,
            None => start,
        };
        // As [`Normalization::apply`], to the bit. A divisor on the GPU: by a number of the CPU, libtorch multiplies with
        // its reciprocal.
        let [most, mean, std] = &constants.normalization;
        let mut pixels = bytes.f_to_kind(Kind::Float)?.f_div(most)?.f_sub(mean)?.f_div(std)?;
        if let Some(blanks) = blanks {
            blank(&mut pixels, &blanks)?;
        }
        Ok(pixels)
    }
}

impl Batch {
    /// The images as a network reads them: `[n, 3, height, width]`, float32, normalised, with channels-last strides. `copy`
    /// brings tensors of this batch to the device that the loader finishes on ([`Loader::finished_on`]); without
    /// such a device, to any.
    ///
    /// # Errors
    /// Those of `copy` and of libtorch.
    ///
    /// [`Loader::finished_on`]: super::Loader::finished_on
    pub fn images_by<E: From<TchError>>(
        &self,
        mut copy: impl FnMut(&Tensor) -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        match &self.rest {
            Some(rest) => rest.apply(&self.images, copy),
            None => copy(&self.images),
        }
    }

    /// As [`Batch::images_by`], by plain copies to `device`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn images_on(&self, device: Device) -> Result<Tensor, TchError> {
        let own = self.rest.as_ref().map_or(device, |rest| rest.finisher.device);
        self.images_by(|tensor| tensor.f_to_device(own))?.f_to_device(device)
    }
}

/// The pixels of `set` as `[N * height * width, 3]` on `device`; `None` where they are too many.
fn on_device(set: &Images, device: Device) -> Option<Tensor> {
    let pixels = set.pixels();
    if pixels.len() >= LARGEST_SET {
        return None;
    }
    Tensor::from_slice(pixels).view([-1, 3]).f_to_device(device).ok()
}

/// Bytes `[n, 3, h, w]`, channels-last in memory, from their places `[n, 1 + h + w]` in `set`, whose images are of `size`.
fn gather(set: &Tensor, places: &Tensor, size: [i64; 2]) -> Result<Tensor, TchError> {
    let [height, width] = size;
    let n = places.size()[0];
    let places = places.f_to_kind(Kind::Int64)?;
    let image = places.f_narrow(1, 0, 1)?.f_view([n, 1, 1])?;
    let rows = places.f_narrow(1, 1, height)?.f_unsqueeze(2)?;
    let columns = places.f_narrow(1, 1 + height, width)?.f_unsqueeze(1)?;
    let black = rows.f_lt(0)?.f_logical_or(&columns.f_lt(0)?)?.f_view([-1, 1])?;
    let row = (image * height).f_add(&rows.f_clamp_min(0)?)?;
    let pixel = (row * width).f_add(&columns.f_clamp_min(0)?)?;
    let pixels = set.f_index_select(0, &pixel.f_view([-1])?)?.f_masked_fill(&black, 0)?;
    pixels.f_view([n, height, width, 3])?.f_permute([0, 3, 1, 2])
}

/// Sets the parts `blanks: [n, 2, 4]` of `pixels: [n, 3, h, w]` to 0.
fn blank(pixels: &mut Tensor, blanks: &Tensor) -> Result<(), TchError> {
    let (n, _, height, width) = pixels.size4()?;
    let positions = |count| Tensor::f_arange(count, (Kind::Int, pixels.device()));
    let (rows, columns) =
        (positions(height)?.view([1, 1, -1, 1]), positions(width)?.view([1, 1, 1, -1]));
    for part in blanks.f_unbind(1)? {
        let corner = |index: i64| part.f_select(1, index)?.f_view([n, 1, 1, 1]);
        let in_rows =
            rows.f_ge_tensor(&corner(0)?)?.f_logical_and(&rows.f_lt_tensor(&corner(1)?)?)?;
        let in_columns =
            columns.f_ge_tensor(&corner(2)?)?.f_logical_and(&columns.f_lt_tensor(&corner(3)?)?)?;
        drop(pixels.f_masked_fill_(&in_rows.f_logical_and(&in_columns)?, 0)?);
    }
    Ok(())
}
