//! Which tensors can be read by address, and how a refusal describes one that cannot.

use tch::{Kind, Tensor};

use crate::ffi;

/// Whether the numbers of `tensor` lie in this process's memory, where its sizes and strides say.
///
/// Undefined, sparse, oneDNN and nested tensors are not dense, nor are those of another device, and those that libtorch
/// negates or conjugates only when it reads them.
pub(crate) fn is_dense(tensor: &Tensor) -> bool {
    // SAFETY: a tensor that is borrowed for the call, which catches every exception.
    unsafe { ffi::torch_ext_is_dense(tensor.as_ptr()) }
}

/// `tensor`, or a copy of it that is [dense](is_dense).
///
/// # Panics
/// Where it is undefined or on another device.
pub(crate) fn densified(tensor: &Tensor) -> Tensor {
    if is_dense(tensor) {
        return tensor.shallow_clone();
    }
    let copy = tensor.defined().then(|| {
        let tensor = tensor.resolve_neg().resolve_conj();
        let strided = !(tensor.is_sparse() || tensor.is_mkldnn());
        if strided { tensor } else { tensor.to_dense(None::<Kind>, false) }
    });
    copy.filter(is_dense).unwrap_or_else(|| {
        panic!("expected a tensor in the memory of the CPU, got {}", described(tensor))
    })
}

/// Shape, kind and device of `tensor` for an error's text.
pub(crate) fn described(tensor: &Tensor) -> String {
    if !tensor.defined() {
        return "an undefined tensor".to_string();
    }
    match tensor.f_kind() {
        Ok(kind) => format!("{:?} of {kind:?} on {:?}", tensor.size(), tensor.device()),
        Err(_) => format!("{:?} of a kind that tch does not know", tensor.size()),
    }
}

/// Whether numbers of `kind` are floating-point numbers that libtorch computes in.
pub(crate) fn is_floating(kind: Kind) -> bool {
    matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double)
}

/// Panics where `images` do not hold floating-point numbers.
pub(crate) fn expect_floating(images: &Tensor) {
    assert!(images.defined(), "expected floating-point images, got an undefined tensor");
    match images.f_kind() {
        Ok(kind) if is_floating(kind) => {}
        Ok(kind) => panic!("expected floating-point images, got {kind:?}"),
        Err(_) => panic!("expected floating-point images, got a kind that tch does not know"),
    }
}
