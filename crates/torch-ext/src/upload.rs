//! Batches on their way to a GPU, while it computes.
//!
//! A plain copy from the memory of the CPU waits until the GPU has finished everything before it, and the GPU waits for
//! the copy. An [`Upload`] copies from pinned memory on a stream of its own: the copy of a batch runs beside the step
//! before it.

#[cfg(not(feature = "cuda"))]
mod absent;
#[cfg(feature = "cuda")]
mod native;

#[cfg(not(feature = "cuda"))]
use absent::Handle;
#[cfg(feature = "cuda")]
use native::Handle;

use tch::{Device, Tensor};

use crate::Error;

/// Copies tensors to one device. PyTorch: `tensor.pin_memory().to(device, non_blocking=True)` on a side stream.
///
/// To a CPU, and in a program that was built without the feature `cuda`, it is [`Tensor::to_device`].
#[derive(Debug)]
pub struct Upload {
    device: Device,
    handle: Option<Handle>,
}

impl Upload {
    /// Copies to `device`, at most `ahead` tensors at a time: each copy waits until the device has begun the work that was
    /// enqueued `ahead` copies before it. This bounds the memory of the copies under way.
    ///
    /// # Errors
    /// With the feature `cuda`, a CUDA device that this machine does not have; libtorch's.
    pub fn new(device: Device, ahead: usize) -> Result<Self, Error> {
        let handle = match device {
            Device::Cuda(index) => Handle::new(index, ahead)?,
            _ => None,
        };
        Ok(Self { device, handle })
    }

    /// `tensor` on the device: itself where it is there already. Work that is enqueued afterwards, on the current stream,
    /// sees the copy; `tensor` may be dropped at once, and written to.
    ///
    /// # Errors
    /// An undefined tensor; to a GPU also a sparse one; no memory; libtorch's.
    pub fn to_device(&mut self, tensor: &Tensor) -> Result<Tensor, Error> {
        match &mut self.handle {
            Some(handle) if tensor.defined() && tensor.device() == Device::Cpu => {
                handle.upload(tensor)
            }
            _ => tensor
                .f_to_device(self.device)
                .map_err(|error| Error::of_libtorch(OPERATION, &error)),
        }
    }
}

/// The operation that an error names.
const OPERATION: &str = "a copy to the device";

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn a_cpu_needs_no_copy() {
        let tensor = Tensor::from_slice(&[1.0_f32, 2.0]);
        let mut upload = Upload::new(Device::Cpu, 2).unwrap();
        assert_eq!(upload.to_device(&tensor).unwrap().data_ptr(), tensor.data_ptr());
    }

    #[test]
    fn an_undefined_tensor_is_refused() {
        let mut upload = Upload::new(Device::Cpu, 2).unwrap();
        assert!(upload.to_device(&Tensor::new()).is_err());
    }

    /// Every upload is another number, and the GPU is kept busy in between, so that a copy out of place would show.
    #[test]
    #[ignore = "needs a CUDA device"]
    fn copies_arrive_in_order_and_whole() {
        let device = Device::Cuda(0);
        let mut upload = Upload::new(device, 2).unwrap();
        let matrix = Tensor::randn([2048, 2048], (Kind::Float, device)) * 0.01;
        let mut busy = matrix.shallow_clone();
        let total = Tensor::zeros([1 << 20], (Kind::Int64, device));
        for number in 1..=50_i64 {
            let mut tensor = Tensor::full([1 << 20], number, (Kind::Int64, Device::Cpu));
            let copy = upload.to_device(&tensor).unwrap();
            drop(tensor.fill_(-1));
            busy = busy.matmul(&matrix);
            drop(total.shallow_clone().g_add_(&copy));
        }
        assert_eq!(total.eq(50 * 51 / 2).all().int64_value(&[]), 1);
        assert_eq!(busy.isnan().any().int64_value(&[]), 0);
    }
}
