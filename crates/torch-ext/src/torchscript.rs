//! TorchScript modules with a program of their own around a traced network.

use std::ffi::CString;
use std::path::Path;

use crate::Error;
use crate::ffi::{self, check};

/// Replaces the TorchScript module at `path` by one that calls it `self.network`, and whose method `forward` is defined by
/// `program`, in TorchScript.
///
/// # Errors
/// A path or program with a zero byte, a file that is no module, a program that does not compile; libtorch's.
pub fn wrap_torchscript(path: &Path, program: &str) -> Result<(), Error> {
    let operation = "a TorchScript module";
    let text = |name: &str, text: &[u8]| {
        CString::new(text).map_err(|_| Error {
            operation,
            message: format!("expected a {name} without zero bytes, got one"),
        })
    };
    let path = text("path", path.as_os_str().as_encoded_bytes())?;
    let program = text("program", program.as_bytes())?;
    // SAFETY: both texts end in a zero byte and outlive the call.
    check(operation, unsafe { ffi::torch_ext_wrap_torchscript(path.as_ptr(), program.as_ptr()) })
}

#[cfg(test)]
mod tests {
    use tch::{CModule, Tensor};

    use super::*;

    const PROGRAM: &str = "def forward(self, numbers: Tensor) -> Tensor:\n    return self.network.forward(numbers + 1.0)\n";

    #[test]
    fn a_program_calls_the_network() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.pt");
        let numbers = Tensor::from_slice(&[1.0_f32, 2.0]);
        let mut twice = |inputs: &[Tensor]| vec![&inputs[0] * 2.0];
        let trace = CModule::create_by_tracing("Twice", "forward", &[numbers.copy()], &mut twice);
        trace.unwrap().save(&path).unwrap();
        wrap_torchscript(&path, PROGRAM).unwrap();
        let module = CModule::load(&path).unwrap();
        let answer = module.forward_ts(&[numbers]).unwrap();
        assert_eq!(answer, Tensor::from_slice(&[4.0_f32, 6.0]));

        let error = wrap_torchscript(&path, "def forward(self:").unwrap_err().to_string();
        assert!(error.starts_with("a TorchScript module"), "{error}");
        assert!(wrap_torchscript(&folder.path().join("none.pt"), PROGRAM).is_err());
        assert!(wrap_torchscript(&path, "\0").unwrap_err().to_string().contains("zero bytes"));
    }
}
