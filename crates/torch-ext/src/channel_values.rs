//! Short lists of numbers, a few for each channel, in and out of tensors without an operator for each.
//!
//! A step has hundreds of such lists. Preparing an operator costs as much as a thousand numbers, and while the main
//! thread prepares one the other threads wait: at a batch of 16 that was 3 % of the step
//! (docs/measurements/performance.md).

use tch::{Device, Kind, Tensor};

use crate::dense::{densified, described, is_dense, is_floating};
use crate::ffi;
use crate::memory::LargePages;
use crate::simd::Number;

/// The kind that channel statistics of such values have.
pub(crate) fn number_kind(values: &Tensor) -> Kind {
    if values.kind() == Kind::Double { Kind::Double } else { Kind::Float }
}

/// The numbers of a tensor on the CPU, in its logical order.
///
/// # Panics
/// Where the tensor is undefined or on another device.
pub(crate) fn read<N: Number>(tensor: &Tensor) -> Vec<N> {
    assert!(
        tensor.defined() && tensor.device() == Device::Cpu,
        "expected a tensor in the memory of the CPU, got {}",
        described(tensor)
    );
    if !is_plain(tensor) {
        let tensor = densified(&tensor.detach());
        let kind = if tensor.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        return read(&tensor.to_kind(kind).contiguous());
    }
    let (count, data) = (tensor.numel(), tensor.data_ptr());
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: `tensor` is dense, contiguous, of this kind and length, and alive to the end of the function, which runs no
    // code that could write to it.
    unsafe {
        match tensor.kind() {
            Kind::Double => widened(std::slice::from_raw_parts(data.cast::<f64>(), count)),
            _ => widened(std::slice::from_raw_parts(data.cast::<f32>(), count)),
        }
    }
}

/// Whether `tensor` is a list of fp32 or fp64 in memory.
fn is_plain(tensor: &Tensor) -> bool {
    is_dense(tensor)
        && matches!(tensor.f_kind(), Ok(Kind::Float | Kind::Double))
        && tensor.is_contiguous()
}

/// As [`read`], of a tensor that has a number for each of `c` channels.
///
/// # Panics
/// As [`expect_channels`].
pub(crate) fn read_channels<N: Number>(tensor: &Tensor, c: usize) -> Vec<N> {
    expect_channels("a bias", tensor, c);
    read(tensor)
}

/// Panics where `tensor` is not `[c]`, of a floating-point kind and in the memory of the CPU.
pub(crate) fn expect_channels(what: &str, tensor: &Tensor, c: usize) {
    let fits = tensor.defined()
        && tensor.size() == [c as i64]
        && tensor.device() == Device::Cpu
        && tensor.f_kind().is_ok_and(is_floating);
    assert!(
        fits,
        "expected {what} of {c} floating-point numbers on the CPU, one for each channel, got {}",
        described(tensor)
    );
}

fn widened<From: Number, To: Number>(numbers: &[From]) -> Vec<To> {
    numbers.iter().map(|number| To::from_f64(number.to_f64())).collect()
}

/// A tensor of `kind` and `shape` on the CPU that holds `numbers`.
pub(crate) fn tensor(numbers: &[f64], shape: &[i64], kind: Kind) -> Tensor {
    match kind {
        Kind::Float | Kind::Double => {
            let tensor = Tensor::empty(shape, (kind, Device::Cpu));
            write(&tensor, numbers);
            tensor
        }
        _ => tensor(numbers, shape, Kind::Float).to_kind(kind),
    }
}

/// Writes `numbers` to a tensor, for libtorch an operation in place: a backward pass that needs the old ones is an error.
///
/// # Panics
/// Where the tensor holds more or fewer numbers.
pub(crate) fn write(tensor: &Tensor, numbers: &[f64]) {
    let count = tensor.numel();
    assert_eq!(count, numbers.len(), "expected as many numbers as the tensor holds");
    let kind = tensor.kind();
    if count == 0 {
        return;
    }
    if !is_plain(tensor) {
        let new = Tensor::from_slice(numbers).view(tensor.size().as_slice());
        return tch::no_grad(|| tensor.shallow_clone().copy_(&new));
    }
    let data = tensor.data_ptr();
    // SAFETY: `tensor` is dense, contiguous, of this kind and length, and alive to the end of the function, which runs no
    // other code that could read or write it; tensors are written to through shared references throughout tch.
    unsafe {
        match kind {
            Kind::Float => fill(std::slice::from_raw_parts_mut(data.cast::<f32>(), count), numbers),
            _ => fill(std::slice::from_raw_parts_mut(data.cast::<f64>(), count), numbers),
        }
        ffi::torch_ext_bump_version(tensor.as_ptr());
    }
}

fn fill<N: Number>(to: &mut [N], numbers: &[f64]) {
    to.iter_mut().zip(numbers).for_each(|(to, &number)| *to = N::from_f64(number));
}

/// Rows of one number for each channel, as the kernels read them: in the type that they compute in, each row from the
/// start of a cache line on.
#[derive(Debug)]
pub(crate) struct ChannelRows {
    channels: usize,
    numbers: Rows,
}

#[derive(Debug)]
enum Rows {
    Float(LargePages<f32>),
    Double(LargePages<f64>),
}

/// Rows begin at multiples of as many numbers, fp32 or fp64: whole cache lines.
const LINE: usize = 16;

impl ChannelRows {
    /// `rows` of equal length, rounded to `kind`: fp64, or fp32 for any other.
    pub(crate) fn new(rows: &[Vec<f64>], kind: Kind) -> Self {
        let channels = rows.first().map_or(0, Vec::len);
        assert!(rows.iter().all(|row| row.len() == channels), "expected rows of equal length");
        Self {
            channels,
            numbers: match kind {
                Kind::Double => Rows::Double(aligned(rows, channels)),
                _ => Rows::Float(aligned(rows, channels)),
            },
        }
    }

    /// Numbers in each row.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// The kind of the numbers in libtorch.
    pub(crate) fn kind(&self) -> Kind {
        match self.numbers {
            Rows::Float(_) => Kind::Float,
            Rows::Double(_) => Kind::Double,
        }
    }

    /// The row `index`.
    ///
    /// # Panics
    /// Where the rows hold another kind of number.
    pub(crate) fn row<N: Number>(&self, index: usize) -> &[N] {
        let start = index * self.channels.next_multiple_of(LINE);
        let all = match &self.numbers {
            Rows::Float(list) => N::floats(list),
            Rows::Double(list) => N::doubles(list),
        };
        let all = all.unwrap_or_else(|| panic!("expected statistics of {:?}", N::KIND));
        &all[start..start + self.channels]
    }

    /// The numbers of the row `index`.
    pub(crate) fn wide(&self, index: usize) -> Vec<f64> {
        match &self.numbers {
            Rows::Float(_) => widened(self.row::<f32>(index)),
            Rows::Double(_) => widened(self.row::<f64>(index)),
        }
    }
}

fn aligned<N: Number>(rows: &[Vec<f64>], channels: usize) -> LargePages<N> {
    let mut list = Vec::with_capacity(rows.len() * channels.next_multiple_of(LINE));
    for row in rows {
        list.extend(row.iter().map(|&number| N::from_f64(number)));
        list.resize(list.len().next_multiple_of(LINE), N::default());
    }
    LargePages::from_fn(list.len(), |index| list[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_every_kind_and_layout() {
        let list: Vec<f64> = (0..12).map(f64::from).collect();
        for kind in [Kind::Float, Kind::Double, Kind::BFloat16] {
            let made = tensor(&list, &[3, 4], kind);
            assert_eq!((made.kind(), made.size()), (kind, vec![3, 4]));
            assert_eq!(read::<f64>(&made), list, "{kind:?}");
            let turned = made.tr();
            assert_eq!(read::<f32>(&turned)[..3], [0., 4., 8.], "{kind:?}");
            write(&turned, &list);
            assert_eq!(read::<f64>(&turned), list, "{kind:?}");
        }
        assert!(read::<f32>(&tensor(&[], &[0], Kind::Float)).is_empty());
    }

    #[test]
    #[should_panic(
        expected = "expected a bias of 3 floating-point numbers on the CPU, one for each channel, got [1] of Float on Cpu"
    )]
    fn a_bias_of_another_length_is_refused() {
        drop(read_channels::<f32>(&tensor(&[1.0], &[1], Kind::Float), 3));
    }

    #[test]
    fn a_pending_negation_is_read() {
        let complex =
            Tensor::complex(&tensor(&[1.0], &[1], Kind::Float), &tensor(&[2.0], &[1], Kind::Float));
        let imaginary = complex.conj().imag();
        assert!(imaginary.is_neg());
        assert_eq!(read::<f32>(&imaginary), [-2.0]);
        write(&imaginary, &[5.0]);
        assert_eq!(read::<f32>(&imaginary), [5.0]);
    }

    #[test]
    #[should_panic(
        expected = "expected a tensor in the memory of the CPU, got an undefined tensor"
    )]
    fn an_undefined_tensor_is_not_read() {
        drop(read::<f32>(&Tensor::new()));
    }

    #[test]
    fn rows_of_channels_start_at_cache_lines() {
        for kind in [Kind::Float, Kind::Double] {
            let rows = ChannelRows::new(&[vec![1.0; 19], vec![2.0; 19]], kind);
            assert_eq!(
                (rows.channels(), rows.wide(0), rows.wide(1)),
                (19, vec![1.0; 19], vec![2.0; 19])
            );
            let start = match kind {
                Kind::Float => rows.row::<f32>(1).as_ptr() as usize,
                _ => rows.row::<f64>(1).as_ptr() as usize,
            };
            assert_eq!(start % 64, 0);
        }
        assert!(ChannelRows::new(&[vec![], vec![]], Kind::Float).row::<f32>(1).is_empty());
    }

    #[test]
    #[should_panic(expected = "expected statistics of Double")]
    fn rows_of_another_kind_are_not_read() {
        ChannelRows::new(&[vec![1.0]], Kind::Float).row::<f64>(0);
    }

    #[test]
    #[should_panic(expected = "expected as many numbers as the tensor holds")]
    fn a_list_that_does_not_fit_is_refused() {
        drop(tensor(&[1.0], &[2], Kind::Float));
    }
}
