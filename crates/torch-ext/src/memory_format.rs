//! Channels-last tensors: the logical shape stays `[N, C, H, W]`, the bytes lie as `N H W C`.
//!
//! On a CPU libtorch's convolutions, pools and batch norms keep the layout of their input, and the
//! channels-last ones are the fast ones, so converting the images once is enough.

use tch::Tensor;
use torch_sys::C_tensor;

use crate::{Error, ffi};

/// `xs: [N, C, H, W]` itself where its strides are channels-last, or a copy of it with such strides.
///
/// PyTorch: `xs.contiguous(memory_format=torch.channels_last)`.
///
/// # Errors
/// An undefined tensor, and one that libtorch gives no such strides: of other than four dimensions, or sparse.
pub fn channels_last(xs: &Tensor) -> Result<Tensor, Error> {
    let input = ffi::pointers([xs]);
    let mut output: *mut C_tensor = std::ptr::null_mut();
    // SAFETY: a live tensor, and room for the result.
    ffi::check("a channels-last copy", unsafe {
        ffi::torch_ext_channels_last(input.as_ptr(), &mut output)
    })?;
    // SAFETY: on success `output` is a new at::Tensor, which `from_ptr` takes over.
    Ok(unsafe { Tensor::from_ptr(output) })
}

/// Whether `xs` lies channels-last in memory. PyTorch: `xs.is_contiguous(memory_format=torch.channels_last)`.
///
/// # Errors
/// An undefined tensor, and one without strides.
pub fn is_channels_last(xs: &Tensor) -> Result<bool, Error> {
    let input = ffi::pointers([xs]);
    let mut answer = false;
    // SAFETY: a live tensor, and room for the result.
    ffi::check("the memory format of a tensor", unsafe {
        ffi::torch_ext_is_channels_last(input.as_ptr(), &mut answer)
    })?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn values_stay_and_strides_change() {
        let xs = Tensor::arange(2 * 3 * 4 * 5, (Kind::Float, Device::Cpu)).view([2, 3, 4, 5]);
        let ys = channels_last(&xs).unwrap();
        assert_eq!(ys.size(), [2, 3, 4, 5]);
        assert_eq!(ys.stride(), [60, 1, 15, 3]);
        assert!(xs.equal(&ys));
        assert!(is_channels_last(&ys).unwrap() && !is_channels_last(&xs).unwrap());
    }

    #[test]
    fn the_gradient_comes_back() {
        let xs = Tensor::ones([1, 2, 3, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        (channels_last(&xs).unwrap() * 3).sum(Kind::Float).backward();
        assert!(xs.grad().equal(&(xs.ones_like() * 3)));
    }

    #[test]
    fn a_tensor_without_images_is_refused_in_words() {
        let error = channels_last(&Tensor::zeros([3], (Kind::Float, Device::Cpu))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a channels-last copy was refused: required rank 4 tensor to use channels_last format"
        );
    }
}
