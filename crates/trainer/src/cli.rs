//! What may be typed: the commands and flags of `xception`.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::commands::ablate::Study;
use crate::data::Part;
use crate::export::Format;
use crate::precision::Precision;
use crate::run_folder::CONFIG;

/// Xception and depthwise separable convolution on libtorch.
#[derive(Debug, Parser)]
#[command(name = "xception", version, arg_required_else_help = true, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How much to say about it.
    #[command(flatten)]
    pub verbosity: Verbosity,
}

/// How much goes to stderr.
#[derive(Debug, Clone, Copy, Args)]
pub struct Verbosity {
    /// Say less: warnings, errors and results only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

impl Verbosity {
    /// The most detailed level that is shown.
    pub fn level(self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "warn",
            (false, 0) => "info",
            (false, _) => "debug",
        }
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a network by a recipe
    Train(TrainArgs),
    /// List the recipes that are built in, or print one
    Recipes(RecipesArgs),
    /// Measure trained weights on a test set
    Eval(EvalArgs),
    /// Classify pictures
    Predict(PredictArgs),
    /// Draw where in a picture a network sees what it names, computed in fp32
    Explain(ExplainArgs),
    /// Bring the state dict of an original script or of Keras onto our names
    Import(ImportArgs),
    /// Write trained weights for other programs: ONNX or TorchScript
    Export(ExportArgs),
    /// List a network's layers, parameters and multiplications
    Summary(SummaryArgs),
    /// Time training or inference
    Bench(BenchArgs),
    /// Train a network with and without one of its parts, as the paper did
    Ablate(AblateArgs),
    /// Train and time Xception and Inception V3 under one recipe, as the paper did
    Compare(CompareArgs),
    /// Show a run as one HTML page, or several side by side
    Report(ReportArgs),
    /// Print what makes a shell complete these commands
    Completions(CompletionsArgs),
    /// Print the manual page, or write a page for every command
    Man(ManArgs),
}

/// Flags of `xception train`.
#[derive(Debug, Default, Args)]
pub struct TrainArgs {
    /// A recipe by name (`xception recipes` lists them) or a TOML file [default: quick]
    #[arg(long, value_name = "NAME|FILE")]
    pub recipe: Option<String>,
    /// The network, in place of the recipe's
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<String>,
    /// cifar10[:DIR], cifar100[:DIR], folder:DIR, shards:DIR, synthetic, or auto: CIFAR-10 if it can be found, else
    /// synthetic
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// What to start from, in place of the recipe's: a file, the folder of a run, or the name of published weights
    /// that were fetched
    #[arg(long, value_name = "FILE|RUN|NAME")]
    pub weights: Option<String>,
    /// The run's folder, new or empty [default: runs/<recipe>-<data>, numbered]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the run in this folder from its newest checkpoint; its recipe is the run's
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub resume: Option<PathBuf>,
    /// Change one value of the recipe, such as epochs=3 or schedule.peak=0.01; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl TrainArgs {
    /// Whether `key`, or something inside it, is changed by `--set`.
    pub(crate) fn sets(&self, key: &str) -> bool {
        self.set.iter().filter_map(|change| Some(change.split_once('=')?.0.trim())).any(|set| {
            set.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// The recipe that is asked for: of a run that is resumed its own, unless another is named.
    pub fn recipe_name(&self) -> String {
        match (&self.recipe, &self.resume) {
            (Some(name), _) => name.clone(),
            (None, Some(run)) => run.join(CONFIG).display().to_string(),
            (None, None) => "quick".to_string(),
        }
    }
}

/// Flags of `xception recipes`.
#[derive(Debug, Args)]
pub struct RecipesArgs {
    /// The one to print, as it would stand in a file
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Which weights, and how to compute with them.
#[derive(Debug, Args)]
pub struct WeightsArgs {
    /// A file (safetensors, PyTorch's .pth, Keras's .h5), the folder of a run (its last weights), or the name of
    /// published weights that were fetched
    #[arg(long, value_name = "FILE|RUN|NAME")]
    pub weights: String,
    /// The network, for files that do not say it themselves
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<String>,
}

/// Flags of `xception eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The weights.
    #[command(flatten)]
    pub weights: WeightsArgs,
    /// Numbers to compute in; auto is bf16 where the device multiplies it faster than fp32
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    pub precision: Precision,
    /// cifar10[:DIR], cifar100[:DIR], folder:DIR, shards:DIR, synthetic, or auto [default: what the weights were
    /// trained on]
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// What of the data to measure on
    #[arg(long, value_enum, default_value_t = Part::Test)]
    pub split: Part,
    /// Pictures at a time
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: u32,
    /// Average the logits of each picture and its mirror image
    #[arg(long)]
    pub tta: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Flags of `xception predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The weights.
    #[command(flatten)]
    pub weights: WeightsArgs,
    /// Numbers to compute in; auto is bf16 where the device multiplies it faster than fp32
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    pub precision: Precision,
    /// Pictures (PNG, JPEG, WebP, BMP), or safetensors files whose tensor `input` is [N,3,H,W] float32, normalised
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Classes to name for each picture
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Write all logits to this safetensors file, as the tensor `logits` [N,classes]
    #[arg(long, value_name = "OUT.safetensors")]
    pub logits: Option<PathBuf>,
}

/// Flags of `xception explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The weights.
    #[command(flatten)]
    pub weights: WeightsArgs,
    /// Pictures (PNG, JPEG, WebP, BMP)
    #[arg(required = true, value_name = "IMAGE")]
    pub inputs: Vec<PathBuf>,
    /// The class to look for, by name or number [default: the likeliest]
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Folder for the drawings, NAME.explained.png [default: beside the pictures]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Flags of `xception import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The network that the state dict belongs to
    #[arg(long, value_name = "PRESET")]
    pub preset: String,
    /// The state dict under the original script's names: safetensors, PyTorch's .pth, Keras's .h5
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Where our weights go
    #[arg(short, long, value_name = "OUT.safetensors")]
    pub out: PathBuf,
}

/// Flags of `xception export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The weights.
    #[command(flatten)]
    pub weights: WeightsArgs,
    /// How other programs read it [default: by the name of the file]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Where it goes
    #[arg(short, long, value_name = "OUT.onnx|OUT.pt")]
    pub out: PathBuf,
}

/// Flags of `xception summary`.
#[derive(Debug, Args)]
pub struct SummaryArgs {
    /// The network
    #[arg(long, value_name = "PRESET")]
    pub preset: String,
    /// Rows and columns of the pictures [default: the preset's]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(i64).range(1..=8192))]
    pub input: Option<i64>,
    /// Length of the logits [default: the preset's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    pub classes: Option<i64>,
    /// Run it as well, and show each layer's share of the time of a forward pass over one picture
    #[arg(long)]
    pub time: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Flags of `xception ablate`.
#[derive(Debug, Args)]
pub struct AblateArgs {
    /// What is left out or put in
    #[arg(value_enum, value_name = "STUDY")]
    pub study: Study,
    /// The recipe of all runs
    #[arg(long, value_name = "NAME|FILE", default_value = "quick")]
    pub recipe: String,
    /// As for `xception train`
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// Runs of each network, from seed 0 on
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: u64,
    /// Folder of all runs; a study that was interrupted goes on there [default: runs/ablate-STUDY]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Change one value of the recipe for all runs; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Flags of `xception compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The recipe of both; pictures must have 75 pixels or more, which [[progressive]] can bring them to
    #[arg(long, value_name = "NAME|FILE", default_value = "compare")]
    pub recipe: String,
    /// As for `xception train`
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// Runs of each network, from seed 0 on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: u64,
    /// Change one value of the recipe; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Keep the figures here
    #[arg(short, long, value_name = "OUT.json")]
    pub out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// What `xception bench` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchMode {
    /// Forward, backward and optimizer.
    Train,
    /// Forward only.
    Infer,
}

/// Flags of `xception bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The network
    #[arg(long, default_value = "notebook-cifar10", value_name = "PRESET")]
    pub preset: String,
    /// What to time
    #[arg(long, value_enum, default_value_t = BenchMode::Train)]
    pub mode: BenchMode,
    /// Pictures at a time
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(i64).range(1..=65_536))]
    pub batch_size: i64,
    /// Rows and columns of the pictures [default: the preset's]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(i64).range(1..=8192))]
    pub input: Option<i64>,
    /// Multiplies the channels of every layer; for preset cifar, the one that scales
    #[arg(long, value_name = "FACTOR")]
    pub width: Option<f64>,
    /// Numbers to compute in; auto is bf16 where the device multiplies it faster than fp32
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    pub precision: Precision,
    /// Timed steps, of which the median counts; two more warm up
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Threads of each operation [default: libtorch's choice, the physical cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=4096))]
    pub threads: Option<i32>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Warm up, print a line of JSON with "ready": true, then for every line on stdin time a round of about SECONDS
    /// after a step that does not count, and print {"ms_per_step", "steps"} as one line; the end of stdin ends it.
    /// For timing programs in turns
    #[arg(long, value_name = "SECONDS", value_parser = round_seconds, conflicts_with_all = ["steps", "json"])]
    pub on_request: Option<f64>,
    /// Time every layer, and say how far each is from what this machine allows
    #[arg(long, conflicts_with = "on_request")]
    pub layers: bool,
}

/// Flags of `xception report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The folder of a run; with several, they are compared
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The page [default: RUN/report.html, or comparison.html for several runs]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Flags of `xception completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// For which shell; bash reads the script from ~/.local/share/bash-completion/completions/xception
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Flags of `xception man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder for xception.1, xception-train.1 and so on, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// The length of a round in seconds.
fn round_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds between 0 and 3600".into()),
    }
}
