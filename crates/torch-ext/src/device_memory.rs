//! The free memory of a GPU.

use tch::Device;

use crate::Error;
use crate::ffi::{self, check};

/// Bytes of `device` that no process has taken; `None` for a device that is not a CUDA device. PyTorch:
/// `torch.cuda.mem_get_info(device)[0]`.
///
/// # Errors
/// A device that this machine does not have; libtorch's.
pub fn free_device_memory(device: Device) -> Result<Option<u64>, Error> {
    let Device::Cuda(index) = device else { return Ok(None) };
    let operation = "the free memory of a GPU";
    let index = i8::try_from(index).map_err(|_| Error {
        operation,
        message: format!("expected a device from 0 to {}, got {index}", i8::MAX),
    })?;
    let mut bytes = 0;
    // SAFETY: a number, and a live place for another one.
    check(operation, unsafe { ffi::torch_ext_free_memory(index.into(), &raw mut bytes) })?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_has_no_memory_of_its_own() {
        assert_eq!(free_device_memory(Device::Cpu).unwrap(), None);
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error() {
        for index in [127, 1 << 40] {
            assert!(free_device_memory(Device::Cuda(index)).is_err());
        }
    }

    #[test]
    #[ignore = "needs a CUDA device"]
    fn memory_that_is_taken_is_not_free() {
        let device = Device::Cuda(0);
        let before = free_device_memory(device).unwrap().unwrap();
        let taken = tch::Tensor::zeros([1 << 28], (tch::Kind::Float, device));
        let after = free_device_memory(device).unwrap().unwrap();
        assert!(before - after >= 1 << 30, "{before} {after}");
        drop(taken);
    }
}
