//! Short lists of numbers, a few a channel, in and out of tensors without an operator for each.
//!
//! A step has hundreds of such lists. Preparing an operator costs as much as a thousand numbers, and while the main
//! thread prepares one the other threads wait: at a batch of 16 that was 3 % of the step
//! (docs/measurements/performance.md).

use tch::{Device, Kind, Tensor};

use crate::parallel::Shared;
use crate::simd::Number;

/// The kind that channel statistics of such values have.
pub(crate) fn number_kind(values: &Tensor) -> Kind {
    if values.kind() == Kind::Double { Kind::Double } else { Kind::Float }
}

/// Where the numbers of a contiguous tensor of statistics begin.
pub(crate) fn start<N: Number>(tensor: &Tensor) -> Shared<N> {
    debug_assert!(tensor.kind() == N::KIND && tensor.is_contiguous());
    Shared(tensor.data_ptr().cast())
}

/// What a tensor on the CPU holds, in its logical order.
pub(crate) fn read<N: Number>(tensor: &Tensor) -> Vec<N> {
    let kind = tensor.kind();
    if !matches!(kind, Kind::Float | Kind::Double) {
        return read(&tensor.detach().to_kind(Kind::Float));
    }
    if !tensor.is_contiguous() {
        return read(&tensor.detach().contiguous());
    }
    let (count, data) = (tensor.numel(), tensor.data_ptr());
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: a contiguous tensor of this kind and length, alive to the end of the function.
    unsafe {
        match kind {
            Kind::Float => widened(std::slice::from_raw_parts(data.cast::<f32>(), count)),
            _ => widened(std::slice::from_raw_parts(data.cast::<f64>(), count)),
        }
    }
}

/// As [`read`], of a tensor that has a number for each of `c` channels; panics where it does not.
pub(crate) fn read_channels<N: Number>(tensor: &Tensor, c: usize) -> Vec<N> {
    assert!(
        tensor.size() == [c as i64] && tensor.device() == Device::Cpu,
        "expected a number for each of {c} channels on the CPU, got {:?} on {:?}",
        tensor.size(),
        tensor.device()
    );
    read(tensor)
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

/// Makes a tensor on the CPU hold `numbers`. Autograd does not notice: for what no backward pass reads.
pub(crate) fn write(tensor: &Tensor, numbers: &[f64]) {
    let count = tensor.numel();
    assert_eq!(count, numbers.len(), "expected as many numbers as the tensor holds");
    let kind = tensor.kind();
    if count == 0 {
        return;
    }
    if !(matches!(kind, Kind::Float | Kind::Double) && tensor.is_contiguous()) {
        let new = Tensor::from_slice(numbers).view(tensor.size().as_slice());
        return tch::no_grad(|| tensor.shallow_clone().copy_(&new));
    }
    let data = tensor.data_ptr();
    // SAFETY: a contiguous tensor of this kind and length, alive to the end of the function; tensors are written to
    // through shared references throughout tch.
    unsafe {
        match kind {
            Kind::Float => fill(std::slice::from_raw_parts_mut(data.cast::<f32>(), count), numbers),
            _ => fill(std::slice::from_raw_parts_mut(data.cast::<f64>(), count), numbers),
        }
    }
}

fn fill<N: Number>(to: &mut [N], numbers: &[f64]) {
    to.iter_mut().zip(numbers).for_each(|(to, &number)| *to = N::from_f64(number));
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
        expected = "expected a number for each of 3 channels on the CPU, got [1] on Cpu"
    )]
    fn a_bias_that_does_not_fit_is_refused() {
        drop(read_channels::<f32>(&tensor(&[1.0], &[1], Kind::Float), 3));
    }

    #[test]
    #[should_panic(expected = "expected as many numbers as the tensor holds")]
    fn a_list_that_does_not_fit_is_refused() {
        drop(tensor(&[1.0], &[2], Kind::Float));
    }
}
