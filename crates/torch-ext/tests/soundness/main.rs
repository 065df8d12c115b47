//! Safe calls that could corrupt memory if they were not checked: each ends in a value, or in a sentence that says why not.
#![forbid(unsafe_code)]

mod foreach;
mod formats;
mod gradients;
mod groups;
mod maps;
mod optimizers;
mod packed;

use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::{Device, Kind, Tensor};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

fn ones(shape: &[i64]) -> Tensor {
    Tensor::ones(shape, FLOAT)
}

/// The result of `body`, or the text of its panic.
fn answer<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    })
}

/// The text of the panic that `body` ends in.
#[track_caller]
fn refusal(body: impl FnOnce()) -> String {
    answer(body).expect_err("expected a refusal")
}
