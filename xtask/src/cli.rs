//! The command line as data: what `cargo xtask --help` shows.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::instructions::Instructions;

/// Everything around the build: fetch what it needs, check, test and train.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, one module each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Download libtorch or a data set into the cache, checked against pinned hashes
    Fetch(FetchArgs),
    /// Show what is installed, what is missing, and the command that mends it
    Doctor,
    /// Format check, tidy, clippy, docs and all tests; fetches libtorch first if it is missing
    Test(TestArgs),
    /// Build, start, package and install programs outside of the workspace as README says (takes long)
    TestOutside(TestOutsideArgs),
    /// Check the workspace with the oldest Rust that it promises
    MinimumRust,
    /// List the public items of the libraries in docs/api
    PublicApi(PublicApiArgs),
    /// Check the workspace for macOS and Windows, as far as that goes without their C++ compilers
    CheckTargets,
    /// Test kernels, layers and small networks on 64-bit Arm, in an emulator (takes long)
    TestAarch64(TestAarch64Args),
    /// Run the tests of torch-ext under AddressSanitizer (x86-64 Linux; builds torch-sys once more)
    Sanitize(SanitizeArgs),
    /// Check the workspace's own rules: arrows of crates and modules, `unsafe`, words, recipes, links in the docs
    Tidy,
    /// Fetch what is missing, then run `xception train --recipe quick` with the given arguments
    #[command(disable_help_flag = true)]
    Train(TrainArgs),
    /// Pack an archive to unpack and run elsewhere: the program, the libraries that it needs, licences (Linux)
    Dist(DistArgs),
    /// Write the golden parity values again from the original Python code
    Golden(GoldenArgs),
    /// Compile the kernels for a GPU into the image that torch-ext embeds
    CudaKernels(CudaKernelsArgs),
    /// Make target/gpu-kit: programs, tests, peers, data and a campaign of measurements for a machine with a GPU
    GpuKit(GpuKitArgs),
    /// Write the results of a campaign into docs/measurements/gpu.md
    GpuReport(GpuReportArgs),
    /// Time this project, PyTorch, torch.compile, ONNX Runtime and OpenVINO in turns
    Peers(PeersArgs),
    /// Compare a run's TensorBoard events, as TensorBoard's own reader has them, with its metrics.jsonl
    CheckTensorboard(CheckTensorboardArgs),
    /// Import weights from timm and Keras, export them to timm, TorchScript and ONNX, and compare the logits
    CheckWeights(CheckWeightsArgs),
    /// Show that a change altered no weights of a seeded run and made no training step slower
    CheckChange(CheckChangeArgs),
    /// Launch ranks by the real torchrun, disturb them at random, and time their communication
    CheckRanks(CheckRanksArgs),
}

/// The artefacts that `fetch` can get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The C++ library under PyTorch, linked at `<workspace>/libtorch`
    Libtorch,
    /// CIFAR-10, binary version
    Cifar10,
    /// CIFAR-100, binary version
    Cifar100,
    /// Published weights, by NAME
    Weights,
    /// libtorch and both data sets
    All,
}

/// Which build of libtorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// Runs everywhere
    Cpu,
    /// CUDA 13.0
    Cu130,
    /// CUDA 13.2
    Cu132,
}

impl Variant {
    /// The name in file names and versions, as in `2.13.0+cu130`.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Cpu => "cpu",
            Variant::Cu130 => "cu130",
            Variant::Cu132 => "cu132",
        }
    }
}

/// Arguments of `fetch`.
#[derive(Args, Debug)]
pub struct FetchArgs {
    /// The artefact to fetch
    #[arg(value_enum)]
    pub target: Target,
    /// Name of the weights; without one, the known names are listed
    pub name: Option<String>,
    /// Source to use instead: a folder, a file, or a URL of either (a folder may vouch for its
    /// files with a SHA256SUMS)
    #[arg(long, value_name = "PATH_OR_URL")]
    pub from: Option<String>,
    /// Use no network: only the cache and a local --from
    #[arg(long)]
    pub offline: bool,
    /// Build of libtorch; without it the one that is linked already, else cpu
    #[arg(long, value_enum)]
    pub variant: Option<Variant>,
}

/// Arguments of `test`.
#[derive(Args, Debug)]
pub struct TestArgs {
    /// Use no network: fail instead of fetching libtorch, and tell cargo the same
    #[arg(long)]
    pub offline: bool,
    /// Test as on a lesser CPU, which has no more than this
    #[arg(long, value_name = "SET")]
    pub instructions: Option<Instructions>,
}

/// Arguments of `sanitize`.
#[derive(Args, Debug)]
pub struct SanitizeArgs {
    /// Use no network: fail instead of fetching libtorch, and tell cargo the same
    #[arg(long)]
    pub offline: bool,
    /// Run only tests with one of these in their name [default: all]
    #[arg(value_name = "TEST")]
    pub tests: Vec<String>,
}

/// Arguments of `train`.
#[derive(Args, Debug)]
pub struct TrainArgs {
    /// Use no network (must come before the trainer's own arguments)
    #[arg(long)]
    pub offline: bool,
    /// Passed on to `xception train` as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// Arguments of `test-outside`.
#[derive(Args, Debug)]
pub struct TestOutsideArgs {
    /// Ways in to try [default: all of missing, spaces, apart, pytorch, readme, git, release, docs, package, install]
    #[arg(value_name = "WAY")]
    pub ways: Vec<String>,
    /// Use no network: fail instead of fetching libtorch
    #[arg(long)]
    pub offline: bool,
}

/// Arguments of `public-api`.
#[derive(Args, Debug)]
pub struct PublicApiArgs {
    /// Write nothing: fail where a list is not what it was
    #[arg(long)]
    pub check: bool,
}

/// Arguments of `test-aarch64`.
#[derive(Args, Debug)]
pub struct TestAarch64Args {
    /// Use no network: fail instead of fetching libtorch
    #[arg(long)]
    pub offline: bool,
}

/// Arguments of `dist`.
#[derive(Args, Debug)]
pub struct DistArgs {
    /// Folder of the archive [default: target/dist]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Use no network: fail instead of fetching libtorch
    #[arg(long)]
    pub offline: bool,
}

/// Arguments of `golden`.
#[derive(Args, Debug)]
pub struct GoldenArgs {
    /// Folder of the documents whose code the values come from
    #[arg(long, value_name = "DIR")]
    pub seeds: PathBuf,
    /// Python that has torch, timm and keras
    #[arg(long, value_name = "PY", default_value = "python3")]
    pub python: PathBuf,
}

/// Arguments of `cuda-kernels`.
#[derive(Args, Debug)]
pub struct CudaKernelsArgs {
    /// Python to make the virtual environment with, which holds the compiler
    #[arg(long, value_name = "PY", default_value = "python3")]
    pub python: PathBuf,
}

/// Arguments of `gpu-kit`.
#[derive(Args, Debug)]
pub struct GpuKitArgs {
    /// Make nothing: run every step of the kit that is there on this machine's CPU, at a small size
    #[arg(long)]
    pub dry_run: bool,
    /// Stages of the dry run [default: all]
    #[arg(value_name = "STAGE", requires = "dry_run")]
    pub stages: Vec<String>,
    /// `xception` for the dry run in place of the kit's; the scripts are then this checkout's, and no tests run
    #[arg(long, value_name = "PATH", requires_all = ["dry_run", "libraries"])]
    pub binary: Option<PathBuf>,
    /// Folder with the libtorch of --binary
    #[arg(long, value_name = "DIR", requires = "binary")]
    pub libraries: Option<PathBuf>,
    /// Folder with torch/ and nvidia/, as site-packages has them, to build against [default: made by pip, in the cache]
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    pub site: Option<PathBuf>,
    /// Folder of CIFAR-10's .bin files [default: data/, then the cache; without them the kit has no data]
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    pub data: Option<PathBuf>,
    /// Python to make the virtual environment with
    #[arg(long, value_name = "PY", default_value = "python3")]
    pub python: PathBuf,
}

/// Arguments of `gpu-report`.
#[derive(Args, Debug)]
pub struct GpuReportArgs {
    /// The results folder of a campaign, or the folder that holds it
    #[arg(value_name = "DIR")]
    pub results: PathBuf,
}

/// Arguments of `peers`.
#[derive(Args, Debug)]
pub struct PeersArgs {
    /// Workloads to run, comma-separated; --list names them [default: all]
    #[arg(long, value_name = "WORKLOADS")]
    pub only: Option<String>,
    /// List workloads and contenders, and run nothing
    #[arg(long)]
    pub list: bool,
    /// One short round of everything: shows that it runs, measures nothing
    #[arg(long, conflicts_with_all = ["rounds", "seconds_per_round"])]
    pub quick: bool,
    /// Timed rounds of each contender, of which the median counts
    #[arg(long, value_name = "N", default_value = "7", value_parser = positive)]
    pub rounds: usize,
    /// About how long a round lasts; it has at least one step
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub seconds_per_round: f64,
    /// Threads of each contender [default: the physical cores]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,
    /// Hold the contenders to this; ONNX Runtime, which cannot be held, and bf16 are left out, and torch.compile's compiler
    /// may use more
    #[arg(long, value_name = "SET")]
    pub instructions: Option<Instructions>,
    /// Folder for peers.json, peers.md and what the contenders wrote [default: target/peers, then the date]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The program `xception` to time, with --python as it is: nothing is built or installed
    #[arg(long, value_name = "BIN")]
    pub prebuilt: Option<PathBuf>,
    /// Python to make the virtual environment with; with --prebuilt one that has the packages
    #[arg(long, value_name = "PY", default_value = "python3")]
    pub python: PathBuf,
}

/// Arguments of `check-tensorboard`.
#[derive(Args, Debug)]
pub struct CheckTensorboardArgs {
    /// Folder of the run, with tb/ and metrics.jsonl
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Python to make the virtual environment with
    #[arg(long, value_name = "PY", default_value = "python3")]
    pub python: PathBuf,
}

/// Arguments of `check-weights`.
#[derive(Args, Debug)]
pub struct CheckWeightsArgs {
    /// Python to make the virtual environment with
    #[arg(long, value_name = "PY", default_value = "python3")]
    pub python: PathBuf,
}

/// Arguments of `check-change`.
#[derive(Args, Debug)]
pub struct CheckChangeArgs {
    /// The state before the change: a commit, or an `xception` binary that was built from it
    #[arg(long, value_name = "COMMIT|BINARY")]
    pub before: String,
    /// Timed rounds of each program, in turns; 0 compares the weights only
    #[arg(long, value_name = "N", default_value = "12", value_parser = clap::value_parser!(usize))]
    pub rounds: usize,
}

/// Arguments of `check-ranks`.
#[derive(Args, Debug)]
pub struct CheckRanksArgs {
    /// The check to run
    #[arg(value_enum, value_name = "WHAT")]
    pub what: RanksCheck,
    /// Number of times that `faults` disturbs a run
    #[arg(long, value_name = "N", default_value = "50", value_parser = positive)]
    pub trials: usize,
    /// Python to make the virtual environment with
    #[arg(long, value_name = "PY", default_value = "python3")]
    pub python: PathBuf,
}

/// The checks of `check-ranks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RanksCheck {
    /// torchrun launches, restarts after a killed rank, and shows our errors
    Torchrun,
    /// Ranks are killed, stopped and cut off (network namespaces, so as root)
    Faults,
    /// The file for Kubernetes is what its training operator takes
    Deploy,
    /// One rank and two on this machine, and all-reduce over slow links (as root), for docs/measurements/scaling.md
    Scaling,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=4096) => Ok(number),
        _ => Err("expected a whole number between 1 and 4096".into()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds between 0 and 60".into()),
    }
}
