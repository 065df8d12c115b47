//! The owner of a copying stream of `cpp/cuda_upload.cpp`.

use std::ffi::c_int;

use tch::Tensor;
use torch_sys::C_tensor;

use super::OPERATION;
use crate::Error;
use crate::ffi::{self, ErrorText, check};

/// `TorchExtCudaUpload` of the C++ side.
#[repr(C)]
struct Stream {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn torch_ext_cuda_upload_new(
        device: c_int,
        ahead: usize,
        upload: *mut *mut Stream,
    ) -> ErrorText;
    fn torch_ext_cuda_upload(
        upload: *mut Stream,
        tensor: *const *mut C_tensor,
        copy: *mut *mut C_tensor,
    ) -> ErrorText;
    fn torch_ext_cuda_upload_free(upload: *mut Stream) -> ErrorText;
}

/// The C++ object. Its raw pointer keeps it on one thread.
#[derive(Debug)]
pub(super) struct Handle(*mut Stream);

impl Handle {
    pub(super) fn new(device: usize, ahead: usize) -> Result<Option<Self>, Error> {
        let devices = tch::Cuda::device_count();
        let Some(index) = c_int::try_from(device).ok().filter(|&index| i64::from(index) < devices)
        else {
            let message = format!("there is no CUDA device {device}; {devices} are visible");
            return Err(Error { operation: OPERATION, message });
        };
        let mut stream = std::ptr::null_mut();
        // SAFETY: the index is a device's; there is room for the new object, which is ours on success.
        check(OPERATION, unsafe { torch_ext_cuda_upload_new(index, ahead.max(1), &mut stream) })?;
        Ok(Some(Self(stream)))
    }

    pub(super) fn upload(&mut self, tensor: &Tensor) -> Result<Tensor, Error> {
        let input = ffi::pointers([tensor]);
        let mut copy: *mut C_tensor = std::ptr::null_mut();
        // SAFETY: `self` owns the live object, exclusively; a live tensor, and room for the result.
        check(OPERATION, unsafe { torch_ext_cuda_upload(self.0, input.as_ptr(), &mut copy) })?;
        // SAFETY: on success `copy` is a new at::Tensor, which `from_ptr` takes over.
        Ok(unsafe { Tensor::from_ptr(copy) })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: `self` owns the live object, and nothing uses it afterwards. An error of its end changes nothing.
        drop(check(OPERATION, unsafe { torch_ext_cuda_upload_free(self.0) }));
    }
}
