//! Errors of libtorch, whichever way they reach us: an error of `tch`, an error of `torch-ext`, or a panic.

use std::any::Any;

use crate::exit_code::ExitCode;

/// An error of libtorch, or a panic of this program.
#[derive(Debug, thiserror::Error)]
pub enum TorchError {
    /// Memory ran out.
    #[error(
        "out of memory{}; try a smaller --batch-size or --input, or --set batch_size=…",
        requested.map(|bytes| format!(" ({bytes} bytes more were requested)")).unwrap_or_default()
    )]
    OutOfMemory {
        /// The bytes of the allocation that failed, where libtorch says so.
        requested: Option<u64>,
    },
    /// A kernel that has no fixed order of sums, where a recipe asks for one.
    #[error("deterministic = true: {operation} adds in any order on a GPU; leave the key out")]
    AnyOrder {
        /// libtorch's name of the kernel.
        operation: String,
    },
    /// A kernel of `torch-ext` was refused.
    #[error(transparent)]
    Kernel(torch_ext::Error),
    /// libtorch refused something, or this program is wrong.
    #[error("internal error: {0} (RUST_LOG=debug shows more)")]
    Internal(String),
}

impl TorchError {
    /// The error that caused a panic: tch's operators panic where libtorch throws.
    pub fn from_panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        Self::from_text(
            text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message"),
        )
    }

    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            TorchError::OutOfMemory { .. } => ExitCode::OutOfMemory,
            TorchError::AnyOrder { .. } => ExitCode::Usage,
            TorchError::Kernel(_) | TorchError::Internal(_) => ExitCode::Failed,
        }
    }

    /// The error that `text` tells of, where it is memory that ran out: libtorch has no type for that, only these words.
    pub fn out_of_memory(text: &str) -> Option<Self> {
        if !text.contains("can't allocate memory") && !text.contains("out of memory") {
            return None;
        }
        Some(TorchError::OutOfMemory { requested: requested(text) })
    }

    fn from_text(text: &str) -> Self {
        Self::out_of_memory(text)
            .or_else(|| any_order(text))
            .unwrap_or_else(|| Self::Internal(text.lines().next().unwrap_or(text).to_string()))
    }
}

impl From<tch::TchError> for TorchError {
    fn from(error: tch::TchError) -> Self {
        Self::from_text(&error.to_string())
    }
}

impl From<torch_ext::Error> for TorchError {
    fn from(error: torch_ext::Error) -> Self {
        Self::out_of_memory(&error.message).unwrap_or(Self::Kernel(error))
    }
}

/// Implements `From` for the errors of libtorch's two bindings: `from_torch_errors!(Error, Error::Torch)`.
macro_rules! from_torch_errors {
    ($error:ty, $variant:path) => {
        impl From<tch::TchError> for $error {
            fn from(error: tch::TchError) -> Self {
                $variant(error.into())
            }
        }

        impl From<torch_ext::Error> for $error {
            fn from(error: torch_ext::Error) -> Self {
                $variant(error.into())
            }
        }
    };
}

pub(crate) use from_torch_errors;

/// The bytes of the allocation that failed: "you tried to allocate 4096 bytes" on a CPU, "Tried to allocate 2.00 GiB" on a
/// GPU.
fn requested(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("ried to allocate ")?;
    let mut words = rest.split_whitespace();
    let (number, unit) = (words.next()?, words.next()?.trim_end_matches('.'));
    let kibi = match unit {
        // Exact: 2^62 has more digits than an f64.
        "bytes" => return number.parse().ok(),
        "KiB" => 1,
        "MiB" => 2,
        "GiB" => 3,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Some((number * 1024_f64.powi(kibi)) as u64)
}

/// Nor for kernels that `SumOrder::Fixed` refuses.
fn any_order(text: &str) -> Option<TorchError> {
    let (start, _) = text.split_once(" does not have a deterministic implementation")?;
    let operation = start.rsplit(|letter: char| !is_of_name(letter)).next()?.to_string();
    Some(TorchError::AnyOrder { operation })
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_allocation_is_out_of_memory_and_says_how_much() {
        let text = "Torch(\"[enforce fail at alloc_cpu.cpp:129] err == 0. DefaultCPUAllocator: can't allocate memory: \
                    you tried to allocate 4611686018427387904 bytes. Error code 12 (Cannot allocate memory)\")";
        let error = TorchError::from_panic(&text.to_string());
        assert_eq!(error.exit_code(), ExitCode::OutOfMemory);
        let message = error.to_string();
        assert!(
            message.starts_with("out of memory (4611686018427387904 bytes more were requested)"),
            "{message}"
        );
        let kernel = torch_ext::Error { operation: "a product", message: text.to_string() };
        assert_eq!(TorchError::from(kernel).to_string(), message);
    }

    #[test]
    fn a_gpu_gives_the_size_in_its_own_words() {
        for (size, bytes) in
            [("2.00 GiB", 2 << 30), ("20.50 MiB", 41 << 19), ("512 bytes", 512), ("3.00 KiB", 3072)]
        {
            let text = format!(
                "CUDA out of memory. Tried to allocate {size}. GPU 0 has a total capacity of 79.11 GiB"
            );
            let TorchError::OutOfMemory { requested } = TorchError::from_panic(&text) else {
                panic!("{size} is not out of memory");
            };
            assert_eq!(requested, Some(bytes), "{size}");
        }
        let other = "CUDA out of memory";
        assert!(matches!(
            TorchError::from_panic(&other),
            TorchError::OutOfMemory { requested: None }
        ));
    }

    #[test]
    fn a_kernel_without_a_fixed_order_is_named() {
        let text = "Torch(\"max_pool2d_with_indices_backward_cuda does not have a deterministic implementation, but you \
                    set 'torch.use_deterministic_algorithms(True)'.\")";
        let error = TorchError::from_panic(&text);
        assert_eq!(error.exit_code(), ExitCode::Usage);
        assert_eq!(
            error.to_string(),
            "deterministic = true: max_pool2d_with_indices_backward_cuda adds in any order on a GPU; leave the key out"
        );
    }

    #[test]
    fn any_other_panic_is_internal_and_one_line() {
        let error = TorchError::from_panic(&"expected images\nand a long story");
        assert_eq!(error.exit_code(), ExitCode::Failed);
        assert_eq!(
            error.to_string(),
            "internal error: expected images (RUST_LOG=debug shows more)"
        );
    }
}
