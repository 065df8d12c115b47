//! The workloads and the contenders: two tables, and the command line of each worker.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;

use crate::failure::usage;

/// The kind of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Forward, backward, Adam.
    Train,
    /// Forward only, weights fixed.
    Infer,
}

impl Mode {
    /// As both `xception bench` and the Python worker take it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Train => "train",
            Mode::Infer => "infer",
        }
    }
}

/// One network at one batch size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// As `--only` takes it.
    pub name: &'static str,
    /// The kind of a step.
    pub mode: Mode,
    /// The preset; the Python worker knows its networks by the same names.
    pub network: &'static str,
    /// Images a step.
    pub batch_size: u32,
}

const fn workload(
    name: &'static str,
    mode: Mode,
    network: &'static str,
    batch_size: u32,
) -> Workload {
    Workload { name, mode, network, batch_size }
}

/// Every workload, in the order in which they run.
pub const WORKLOADS: [Workload; 7] = [
    workload("train-notebook-128", Mode::Train, "notebook-cifar10", 128),
    workload("train-notebook-16", Mode::Train, "notebook-cifar10", 16),
    workload("train-xception-8", Mode::Train, "xception", 8),
    workload("infer-xception-1", Mode::Infer, "xception", 1),
    workload("infer-xception-16", Mode::Infer, "xception", 16),
    workload("infer-notebook-1", Mode::Infer, "notebook-cifar10", 1),
    workload("infer-notebook-128", Mode::Infer, "notebook-cifar10", 128),
];

/// The software that a contender runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// This project.
    Ours,
    /// PyTorch as it runs by itself.
    Eager,
    /// PyTorch through `torch.compile`, with frozen weights in inference.
    Compile,
    /// ONNX Runtime.
    OnnxRuntime,
    /// OpenVINO.
    OpenVino,
}

impl Runtime {
    /// As the Python worker's `--runtime` takes it.
    fn name(self) -> &'static str {
        match self {
            Runtime::Ours => "ours",
            Runtime::Eager => "eager",
            Runtime::Compile => "compile",
            Runtime::OnnxRuntime => "onnxruntime",
            Runtime::OpenVino => "openvino",
        }
    }
}

/// The precision that a contender is asked to compute in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Single precision throughout.
    Fp32,
    /// bf16 products.
    Bf16,
    /// Ours only: bf16 where the CPU multiplies it in hardware.
    Auto,
}

impl Precision {
    /// As every worker takes it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Bf16 => "bf16",
            Precision::Auto => "auto",
        }
    }
}

/// One way to run a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contender {
    /// As it stands in the tables.
    pub name: &'static str,
    /// The software.
    pub runtime: Runtime,
    /// The precision that it computes in.
    pub precision: Precision,
    /// The memory format of PyTorch's tensors; other software chooses its own.
    layout: &'static str,
    /// The kinds of step that it is timed at.
    modes: &'static [Mode],
}

impl Contender {
    /// Whether it is of use on a lesser CPU, held by the variables of libtorch, oneDNN and MKL. ONNX Runtime's kernels ask
    /// the CPU alone; and none of these sets has instructions for bf16, in which a step of PyTorch's takes minutes then.
    pub fn can_be_held_to_instructions(&self) -> bool {
        self.runtime != Runtime::OnnxRuntime && self.precision != Precision::Bf16
    }
}

const BOTH: &[Mode] = &[Mode::Train, Mode::Infer];
const TRAIN: &[Mode] = &[Mode::Train];
const INFER: &[Mode] = &[Mode::Infer];
const NCHW: &str = "nchw";
const LAST: &str = "channels_last";

const fn contender(
    name: &'static str,
    runtime: Runtime,
    precision: Precision,
    layout: &'static str,
    modes: &'static [Mode],
) -> Contender {
    Contender { name, runtime, precision, layout, modes }
}

/// Every contender, in the order in which they take turns.
const CONTENDERS: [Contender; 11] = [
    contender("ours fp32", Runtime::Ours, Precision::Fp32, LAST, BOTH),
    contender("ours auto", Runtime::Ours, Precision::Auto, LAST, BOTH),
    contender("PyTorch fp32 NCHW", Runtime::Eager, Precision::Fp32, NCHW, BOTH),
    contender("PyTorch fp32 channels_last", Runtime::Eager, Precision::Fp32, LAST, BOTH),
    contender("PyTorch bf16 NCHW", Runtime::Eager, Precision::Bf16, NCHW, TRAIN),
    contender("PyTorch bf16 channels_last", Runtime::Eager, Precision::Bf16, LAST, BOTH),
    contender("torch.compile fp32", Runtime::Compile, Precision::Fp32, LAST, BOTH),
    contender("torch.compile bf16", Runtime::Compile, Precision::Bf16, LAST, BOTH),
    contender("ONNX Runtime fp32", Runtime::OnnxRuntime, Precision::Fp32, NCHW, INFER),
    contender("OpenVINO fp32", Runtime::OpenVino, Precision::Fp32, NCHW, INFER),
    contender("OpenVINO bf16", Runtime::OpenVino, Precision::Bf16, NCHW, INFER),
];

impl Workload {
    /// The contenders of this workload.
    pub fn contenders(&self) -> impl Iterator<Item = Contender> {
        let mode = self.mode;
        CONTENDERS.into_iter().filter(move |contender| contender.modes.contains(&mode))
    }
}

/// The workloads of a comma-separated list, in the tables' order; all of them without a list.
///
/// # Errors
///
/// Names the first that does not exist, and those that do.
pub fn select(only: Option<&str>) -> Result<Vec<Workload>> {
    let Some(only) = only else { return Ok(WORKLOADS.to_vec()) };
    let wanted: Vec<_> = only.split(',').map(str::trim).collect();
    let known = || WORKLOADS.map(|workload| workload.name).join(", ");
    for name in &wanted {
        if !WORKLOADS.iter().any(|workload| workload.name == *name) {
            return Err(usage(format!("--only: no workload `{name}`; there are {}", known())));
        }
    }
    Ok(WORKLOADS.into_iter().filter(|workload| wanted.contains(&workload.name)).collect())
}

/// Settings that all workers of a run share.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Threads of each contender.
    pub threads: usize,
    /// About how long a round lasts.
    pub seconds_per_round: f64,
}

/// The arguments of `xception` that make it a worker.
pub fn our_arguments(
    workload: &Workload,
    contender: &Contender,
    settings: Settings,
) -> Vec<OsString> {
    let words = [
        ("--preset", workload.network.to_owned()),
        ("--mode", workload.mode.name().to_owned()),
        ("--batch-size", workload.batch_size.to_string()),
        ("--precision", contender.precision.name().to_owned()),
        ("--threads", settings.threads.to_string()),
        ("--on-request", settings.seconds_per_round.to_string()),
    ];
    let words = words.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]);
    std::iter::once("bench".into()).chain(words).collect()
}

/// The arguments of the Python worker, whose exported network is or is to be at `onnx`.
pub fn python_arguments(
    workload: &Workload,
    contender: &Contender,
    settings: Settings,
    onnx: &Path,
) -> Vec<OsString> {
    let words = [
        ("--runtime", contender.runtime.name().to_owned()),
        ("--mode", workload.mode.name().to_owned()),
        ("--network", workload.network.to_owned()),
        ("--batch-size", workload.batch_size.to_string()),
        ("--precision", contender.precision.name().to_owned()),
        ("--layout", contender.layout.to_owned()),
        ("--threads", settings.threads.to_string()),
        ("--seconds-per-round", settings.seconds_per_round.to_string()),
    ];
    let words = words.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]);
    words.chain(["--onnx".into(), onnx.into()]).collect()
}

/// The text of `--list`.
pub fn list() -> String {
    let mut text = String::new();
    for workload in WORKLOADS {
        let Workload { name, mode, network, batch_size } = workload;
        text += &format!("{name}: {} {network}, batch {batch_size}\n", mode.name());
        for contender in workload.contenders() {
            text += &format!("    {}\n", contender.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_selects_in_the_tables_order_and_refuses_what_is_not_there() {
        let names = |only| -> Vec<_> {
            select(only).unwrap().iter().map(|workload| workload.name).collect()
        };
        assert_eq!(names(None).len(), WORKLOADS.len());
        assert_eq!(
            names(Some("infer-xception-1, train-notebook-16")),
            ["train-notebook-16", "infer-xception-1"]
        );
        let message = select(Some("infer-xception-1,all")).unwrap_err().to_string();
        assert!(
            message.starts_with("--only: no workload `all`; there are train-notebook-128, "),
            "{message}"
        );
    }

    #[test]
    fn training_has_no_runtime_that_cannot_train_and_every_workload_has_ours_first() {
        for workload in WORKLOADS {
            let contenders: Vec<_> = workload.contenders().collect();
            assert_eq!(
                contenders.iter().map(|one| one.runtime == Runtime::Ours).collect::<Vec<_>>(),
                (0..contenders.len()).map(|index| index < 2).collect::<Vec<_>>(),
            );
            let expected = if workload.mode == Mode::Train { 8 } else { 10 };
            assert_eq!(contenders.len(), expected, "{}", workload.name);
        }
    }

    #[test]
    fn the_list_names_what_runs() {
        let text = list();
        assert!(
            text.starts_with(
                "train-notebook-128: train notebook-cifar10, batch 128\n    ours fp32\n"
            ),
            "{text}"
        );
        assert_eq!(text.matches("    OpenVINO bf16\n").count(), 4);
    }
}
