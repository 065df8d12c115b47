//! The calls of `cpp/cuda_kernels.cpp`.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use tch::Tensor;
use torch_sys::C_tensor;

use super::{Running, Window};
use crate::Error;
use crate::ffi::{ErrorText, check};

unsafe extern "C" {
    fn torch_ext_cuda_covers(map: *const C_tensor) -> bool;
    fn torch_ext_cuda_depthwise_forward(
        image: *const c_void,
        map: *const C_tensor,
        kernels: *const C_tensor,
        relu: bool,
        result: *mut *mut C_tensor,
    ) -> ErrorText;
    fn torch_ext_cuda_depthwise_backward(
        image: *const c_void,
        map: *const C_tensor,
        kernels: *const C_tensor,
        gradient: *const C_tensor,
        relu: bool,
        of_map: bool,
        map_gradient: *mut *mut C_tensor,
        kernel_gradient: *mut *mut C_tensor,
    ) -> ErrorText;
    fn torch_ext_cuda_max_pool_forward(
        image: *const c_void,
        map: *const C_tensor,
        kernel: c_int,
        stride: c_int,
        above: c_int,
        left: c_int,
        out_h: c_int,
        out_w: c_int,
        result: *mut *mut C_tensor,
        winners: *mut *mut C_tensor,
    ) -> ErrorText;
    fn torch_ext_cuda_max_pool_backward(
        image: *const c_void,
        map: *const C_tensor,
        winners: *const C_tensor,
        gradient: *const C_tensor,
        kernel: c_int,
        stride: c_int,
        above: c_int,
        left: c_int,
        map_gradient: *mut *mut C_tensor,
    ) -> ErrorText;
    fn torch_ext_cuda_norm_statistics(
        image: *const c_void,
        map: *const C_tensor,
        running_mean: *const C_tensor,
        running_variance: *const C_tensor,
        eps: f64,
        momentum: f64,
        correction: f64,
        mean: *mut *mut C_tensor,
        inverse_deviation: *mut *mut C_tensor,
    ) -> ErrorText;
}

/// The compiled kernels at an address that CUDA can read words at.
#[repr(C, align(16))]
struct Image<T: ?Sized>(T);

static IMAGE: &Image<[u8]> = &Image(*include_bytes!("../../cuda/kernels.fatbin"));

fn image() -> *const c_void {
    IMAGE.0.as_ptr().cast()
}

/// Takes over a tensor that C++ made; `None` for a place that it left empty.
///
/// # Safety
/// `tensor` is null, or a new at::Tensor that nobody else owns.
unsafe fn taken(tensor: *mut C_tensor) -> Option<Tensor> {
    // SAFETY: not null, so a new at::Tensor by the caller's word.
    (!tensor.is_null()).then(|| unsafe { Tensor::from_ptr(tensor) })
}

/// The tensor that C++ made in a place that it fills whenever the call succeeds.
///
/// # Safety
/// As [`taken`].
unsafe fn made(tensor: *mut C_tensor) -> Tensor {
    // SAFETY: as above.
    unsafe { taken(tensor) }.expect("a call that succeeds returns its tensors")
}

pub(super) fn covers(map: &Tensor) -> bool {
    // SAFETY: a live tensor, which may be undefined.
    unsafe { torch_ext_cuda_covers(map.as_ptr()) }
}

pub(crate) fn depthwise_forward(
    map: &Tensor,
    kernels: &Tensor,
    relu: bool,
) -> Result<Tensor, Error> {
    let mut result = null_mut();
    // SAFETY: live tensors, which C++ checks, the image of our kernels, and room for the result.
    check("a depthwise convolution", unsafe {
        torch_ext_cuda_depthwise_forward(image(), map.as_ptr(), kernels.as_ptr(), relu, &mut result)
    })?;
    // SAFETY: the call succeeded.
    Ok(unsafe { made(result) })
}

/// The gradients of the map, where `of_map` asks for it, and of the kernels.
pub(crate) fn depthwise_backward(
    map: &Tensor,
    kernels: &Tensor,
    gradient: &Tensor,
    relu: bool,
    of_map: bool,
) -> Result<(Option<Tensor>, Tensor), Error> {
    let (mut of_the_map, mut of_kernels) = (null_mut(), null_mut());
    // SAFETY: as in `depthwise_forward`.
    check("the gradient of a depthwise convolution", unsafe {
        torch_ext_cuda_depthwise_backward(
            image(),
            map.as_ptr(),
            kernels.as_ptr(),
            gradient.as_ptr(),
            relu,
            of_map,
            &mut of_the_map,
            &mut of_kernels,
        )
    })?;
    // SAFETY: the call succeeded.
    Ok(unsafe { (taken(of_the_map), made(of_kernels)) })
}

/// A number of a geometry as C++ takes it; one that is too large becomes one that C++ refuses.
fn int(number: i64) -> c_int {
    c_int::try_from(number).unwrap_or(-1)
}

/// The largest values, and the taps that they came from.
pub(crate) fn max_pool_forward(map: &Tensor, window: Window) -> Result<(Tensor, Tensor), Error> {
    let Window { kernel, stride, before, output } = window;
    let (mut result, mut winners) = (null_mut(), null_mut());
    // SAFETY: as in `depthwise_forward`.
    check("a max-pool", unsafe {
        torch_ext_cuda_max_pool_forward(
            image(),
            map.as_ptr(),
            int(kernel),
            int(stride),
            int(before[0]),
            int(before[1]),
            int(output[0]),
            int(output[1]),
            &mut result,
            &mut winners,
        )
    })?;
    // SAFETY: the call succeeded.
    Ok(unsafe { (made(result), made(winners)) })
}

pub(crate) fn max_pool_backward(
    map: &Tensor,
    winners: &Tensor,
    gradient: &Tensor,
    window: Window,
) -> Result<Tensor, Error> {
    let Window { kernel, stride, before, .. } = window;
    let mut result = null_mut();
    // SAFETY: as in `depthwise_forward`.
    check("the gradient of a max-pool", unsafe {
        torch_ext_cuda_max_pool_backward(
            image(),
            map.as_ptr(),
            winners.as_ptr(),
            gradient.as_ptr(),
            int(kernel),
            int(stride),
            int(before[0]),
            int(before[1]),
            &mut result,
        )
    })?;
    // SAFETY: the call succeeded.
    Ok(unsafe { made(result) })
}

/// Mean and inverse deviation of every channel of `map`; they enter the running statistics.
pub(crate) fn norm_statistics(
    map: &Tensor,
    running: Running<'_>,
    eps: f64,
) -> Result<(Tensor, Tensor), Error> {
    let (mut mean, mut inverse_deviation) = (null_mut(), null_mut());
    // SAFETY: as in `depthwise_forward`.
    check("the statistics of a batch", unsafe {
        torch_ext_cuda_norm_statistics(
            image(),
            map.as_ptr(),
            running.mean.as_ptr(),
            running.variance.as_ptr(),
            eps,
            running.momentum,
            running.correction,
            &mut mean,
            &mut inverse_deviation,
        )
    })?;
    // SAFETY: the call succeeded.
    Ok(unsafe { (made(mean), made(inverse_deviation)) })
}
