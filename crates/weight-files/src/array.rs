//! Arrays of numbers as they lie in files, without tensors.

use crate::Error;

/// The type of an array's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754, 8 bytes.
    F64,
    /// IEEE 754, 4 bytes.
    F32,
    /// IEEE 754, 2 bytes.
    F16,
    /// The upper half of an F32.
    BF16,
    /// Signed, 8 bytes.
    I64,
    /// Signed, 4 bytes.
    I32,
    /// Signed, 2 bytes.
    I16,
    /// Signed, 1 byte.
    I8,
    /// Unsigned, 1 byte.
    U8,
    /// 0 or 1, 1 byte.
    Bool,
}

impl DType {
    /// The size of a number in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::F16 | DType::BF16 | DType::I16 => 2,
            DType::I8 | DType::U8 | DType::Bool => 1,
        }
    }
}

/// An array: little-endian numbers, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// The type of its numbers.
    pub dtype: DType,
    /// Its shape; empty for a single number.
    pub shape: Vec<usize>,
    /// Its numbers, [`DType::bytes`] each.
    pub data: Vec<u8>,
}

/// A view of a storage: the place in the storage of every number of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strided {
    /// Numbers before the first.
    pub(crate) offset: usize,
    /// The array's shape.
    pub(crate) shape: Vec<usize>,
    /// Numbers from one place to the next, axis by axis.
    pub(crate) strides: Vec<usize>,
}

impl Strided {
    /// Returns the count of numbers, or the problem of a view into a storage of `stored` numbers.
    pub(crate) fn check(&self, stored: usize) -> Result<usize, String> {
        let Self { offset, shape, strides } = self;
        if shape.len() != strides.len() {
            return Err(format!("has {} sizes and {} strides", shape.len(), strides.len()));
        }
        let count = shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
        let count = count.ok_or_else(|| format!("has the shape {shape:?}, which overflows"))?;
        if count == 0 {
            return Ok(0);
        }
        let last = shape.iter().zip(strides).try_fold(*offset, |last, (&size, &stride)| {
            last.checked_add((size - 1).checked_mul(stride)?)
        });
        match last {
            // A view of more numbers than are stored repeats some of them, which trained weights never do.
            Some(last) if last < stored && count <= stored => Ok(count),
            _ => Err(format!(
                "of shape {shape:?}, strides {strides:?} and offset {offset} does not fit its storage of {stored} numbers"
            )),
        }
    }

    /// Returns the numbers in row-major order. The view has been checked against `storage`.
    pub(crate) fn gather(&self, storage: &[u8], dtype: DType, count: usize) -> Vec<u8> {
        let bytes = dtype.bytes();
        if count == 0 {
            return Vec::new();
        }
        if self.is_row_major() {
            return storage[self.offset * bytes..][..count * bytes].to_vec();
        }
        let mut data = Vec::with_capacity(count * bytes);
        let mut place = vec![0; self.shape.len()];
        for _ in 0..count {
            let steps = place.iter().zip(&self.strides).map(|(place, stride)| place * stride);
            let at = self.offset + steps.sum::<usize>();
            data.extend_from_slice(&storage[at * bytes..][..bytes]);
            for (place, size) in place.iter_mut().zip(&self.shape).rev() {
                *place += 1;
                if *place < *size {
                    break;
                }
                *place = 0;
            }
        }
        data
    }

    fn is_row_major(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected *= size;
            fits
        })
    }
}

impl Array {
    /// An array of `data`, whose length must fit `shape`.
    pub(crate) fn new(
        name: &str,
        dtype: DType,
        shape: Vec<usize>,
        data: Vec<u8>,
    ) -> Result<Self, Error> {
        let bytes = shape.iter().try_fold(dtype.bytes(), |bytes, &size| bytes.checked_mul(size));
        if bytes != Some(data.len()) {
            return Err(Error::Damaged(format!(
                "{name} of shape {shape:?} has {} bytes of {dtype:?}",
                data.len()
            )));
        }
        Ok(Self { dtype, shape, data })
    }
}
