//! The flags by which commands choose a recipe and change it.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use clap::Args;

use crate::recipe::Request;

/// A recipe and its changes.
#[derive(Debug, Clone, Default, Args)]
pub struct RecipeArgs {
    /// A recipe by name (`xception recipes` lists them) or a TOML file [default: quick]
    #[arg(long, value_name = "NAME|FILE")]
    pub recipe: Option<String>,
    /// The network, in place of the recipe's
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<String>,
    /// cifar10[:DIR], cifar100[:DIR], folder:DIR, csv:FILE, parquet:DIR, shards:DIR, synthetic, synthetic-multi, or
    /// auto: CIFAR-10 if it can be found, else synthetic
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// The weights to start from, in place of the recipe's: a file, the folder of a run, or the name of published weights
    /// that were fetched
    #[arg(long, value_name = "FILE|RUN|NAME")]
    pub weights: Option<String>,
    /// Passes through the training set; the same as --set epochs=N
    #[arg(long, value_name = "N")]
    pub epochs: Option<u64>,
    /// Images in a step; the same as --set batch_size=N
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// The learning rate, or the peak of a schedule that has one
    #[arg(long = "lr", value_name = "RATE", allow_negative_numbers = true)]
    pub learning_rate: Option<f64>,
    /// Rows and columns of the squares that image files become; the same as --set input.side=N
    #[arg(long, value_name = "SIDE")]
    pub input: Option<usize>,
    /// Change one value of the recipe, such as epochs=3 or schedule.peak=0.01; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl RecipeArgs {
    /// The recipe that these flags ask for.
    pub(crate) fn request(&self) -> Request {
        let Self { recipe, preset, data, weights, learning_rate, .. } = self.clone();
        let short = [
            self.epochs.map(|epochs| format!("epochs={epochs}")),
            self.batch_size.map(|size| format!("batch_size={size}")),
            self.input.map(|side| format!("input.side={side}")),
        ];
        // What is typed in full has the last word.
        let set = short.into_iter().flatten().chain(self.set.iter().cloned()).collect();
        Request { recipe, preset, data, weights, learning_rate, set }
    }
}
