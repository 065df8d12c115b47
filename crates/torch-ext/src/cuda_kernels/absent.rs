//! The kernels of a program that was built without the feature `gpu-kernels`: none covers any map.

use tch::Tensor;

use super::{Running, Window};
use crate::Error;

pub(super) fn covers(_map: &Tensor) -> bool {
    false
}

pub(crate) fn depthwise_forward(_: &Tensor, _: &Tensor, _: bool) -> Result<Tensor, Error> {
    Err(absent())
}

pub(crate) fn depthwise_backward(
    _: &Tensor,
    _: &Tensor,
    _: &Tensor,
    _: bool,
    _: bool,
) -> Result<(Option<Tensor>, Tensor), Error> {
    Err(absent())
}

pub(crate) fn max_pool_forward(_: &Tensor, _: Window) -> Result<(Tensor, Tensor), Error> {
    Err(absent())
}

pub(crate) fn max_pool_backward(
    _: &Tensor,
    _: &Tensor,
    _: &Tensor,
    _: Window,
) -> Result<Tensor, Error> {
    Err(absent())
}

pub(crate) fn norm_statistics(
    _: &Tensor,
    _: Running<'_>,
    _: f64,
) -> Result<(Tensor, Tensor), Error> {
    Err(absent())
}

fn absent() -> Error {
    let message = "this program was built without the feature `gpu-kernels`".to_string();
    Error { operation: "a kernel for a GPU", message }
}
