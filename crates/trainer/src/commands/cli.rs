//! The commands and flags of `xception`.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use clap::{Parser, Subcommand};

use crate::commands::ablate::AblateArgs;
use crate::commands::bench::BenchArgs;
use crate::commands::check::CheckArgs;
use crate::commands::compare::CompareArgs;
use crate::commands::completions::CompletionsArgs;
use crate::commands::cross_validation::CvArgs;
use crate::commands::eval::EvalArgs;
use crate::commands::explain::ExplainArgs;
use crate::commands::export::ExportArgs;
use crate::commands::import::ImportArgs;
use crate::commands::learning_rate::LrArgs;
use crate::commands::man::ManArgs;
use crate::commands::predict::PredictArgs;
use crate::commands::recipes::RecipesArgs;
use crate::commands::report::ReportArgs;
use crate::commands::summary::SummaryArgs;
use crate::commands::train::TrainArgs;
use crate::console::verbosity::Verbosity;
use crate::instructions::Instructions;

/// Xception and depthwise separable convolution on libtorch.
#[derive(Debug, Parser)]
#[command(name = "xception", version, arg_required_else_help = true, propagate_version = true)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
    /// The amount of output on stderr.
    #[command(flatten)]
    pub verbosity: Verbosity,
    /// Use no more of the CPU than this, to see what a lesser one does
    #[arg(long, value_name = "SET", global = true)]
    pub instructions: Option<Instructions>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a network by a recipe
    Train(TrainArgs),
    /// List the recipes that are built in, or print one
    Recipes(RecipesArgs),
    /// Look for faults in a data set: broken images, duplicates, leaks, imbalance
    Check(CheckArgs),
    /// Measure trained weights on a test set
    Eval(EvalArgs),
    /// Classify images
    Predict(PredictArgs),
    /// Draw the parts of an image that a network's prediction is based on (Grad-CAM, in fp32)
    Explain(ExplainArgs),
    /// Convert the state dict of an original script or of Keras to our names
    Import(ImportArgs),
    /// Export trained weights for other programs: ONNX or TorchScript
    Export(ExportArgs),
    /// List a network's layers, parameters and multiplications
    Summary(SummaryArgs),
    /// Time training or inference
    Bench(BenchArgs),
    /// Train on all parts of the images but one in turn, and measure on that one (k-fold cross-validation)
    Cv(CvArgs),
    /// Search the learning rate at which a recipe learns fastest
    Lr(LrArgs),
    /// Train a network with and without one of its parts, as the paper did
    Ablate(AblateArgs),
    /// Train and time Xception and Inception V3 under one recipe, as the paper did
    Compare(CompareArgs),
    /// Show a run as one HTML page, or several side by side
    Report(ReportArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write a page for every command
    Man(ManArgs),
}
