//! The owner of a graph of `cpp/cuda_graph.cpp`.

use std::ffi::c_int;

use tch::Device;

use super::OPERATION;
use crate::Error;
use crate::ffi::{ErrorText, check};

/// `TorchExtCudaGraph` of the C++ side.
#[repr(C)]
struct Graph {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn torch_ext_cuda_graph_new(device: c_int, graph: *mut *mut Graph) -> ErrorText;
    fn torch_ext_cuda_graph_enter(graph: *mut Graph) -> ErrorText;
    fn torch_ext_cuda_graph_leave(graph: *mut Graph) -> ErrorText;
    fn torch_ext_cuda_graph_capture_begin(graph: *mut Graph) -> ErrorText;
    fn torch_ext_cuda_graph_capture_end(graph: *mut Graph) -> ErrorText;
    fn torch_ext_cuda_graph_capture_abandon(graph: *mut Graph) -> ErrorText;
    fn torch_ext_cuda_graph_replay(graph: *mut Graph) -> ErrorText;
    fn torch_ext_cuda_graph_free(graph: *mut Graph) -> ErrorText;
}

/// The C++ object. The raw pointer keeps it, and with it the stream that it makes current, on one thread.
#[derive(Debug)]
pub(super) struct Handle(*mut Graph);

impl Handle {
    pub(super) fn new(device: Device) -> Result<Self, Error> {
        let refuse = |message| Err(Error { operation: OPERATION, message });
        let index = match device {
            Device::Cuda(index) => index,
            other => return refuse(format!("expected a CUDA device, got {other:?}")),
        };
        let devices = tch::Cuda::device_count();
        let Some(index) = c_int::try_from(index).ok().filter(|&index| i64::from(index) < devices)
        else {
            return refuse(format!("there is no CUDA device {index}; {devices} are visible"));
        };
        let mut graph = std::ptr::null_mut();
        // SAFETY: the index is a device's; there is room for the new object, which is ours on success.
        check(OPERATION, unsafe { torch_ext_cuda_graph_new(index, &mut graph) })?;
        Ok(Self(graph))
    }

    pub(super) fn enter(&self) -> Result<(), Error> {
        // SAFETY: `self` owns the live object, and its raw pointer keeps both on one thread.
        check("a switch of CUDA streams", unsafe { torch_ext_cuda_graph_enter(self.0) })
    }

    pub(super) fn leave(&self) -> Result<(), Error> {
        // SAFETY: as in `enter`.
        check("a switch of CUDA streams", unsafe { torch_ext_cuda_graph_leave(self.0) })
    }

    pub(super) fn capture_begin(&self) -> Result<(), Error> {
        // SAFETY: as in `enter`.
        check(OPERATION, unsafe { torch_ext_cuda_graph_capture_begin(self.0) })
    }

    pub(super) fn capture_end(&self) -> Result<(), Error> {
        // SAFETY: as in `enter`.
        check(OPERATION, unsafe { torch_ext_cuda_graph_capture_end(self.0) })
    }

    pub(super) fn capture_abandon(&self) -> Result<(), Error> {
        // SAFETY: as in `enter`.
        check(OPERATION, unsafe { torch_ext_cuda_graph_capture_abandon(self.0) })
    }

    pub(super) fn replay(&self) -> Result<(), Error> {
        // SAFETY: as in `enter`.
        check("a replay of a CUDA graph", unsafe { torch_ext_cuda_graph_replay(self.0) })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: `self` owns the live object, and nothing uses it afterwards. An error of its end changes nothing.
        drop(check(OPERATION, unsafe { torch_ext_cuda_graph_free(self.0) }));
    }
}
