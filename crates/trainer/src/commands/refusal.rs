//! Refusals of the commands themselves: arguments that contradict each other, or the files that they name.

mod images_problem;

use std::path::PathBuf;

use xception::{Preset, weights};

use crate::exit_code::ExitCode;
use crate::network::first_few;

pub(super) use self::images_problem::ImagesProblem;

/// Why a command cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// `eval`: weights that do not name their data set.
    #[error("{} does not say what it was trained on; add --data", weights.display())]
    NoData {
        /// The weights.
        weights: PathBuf,
    },
    /// `lr`: rates that do not rise.
    #[error(
        "--from {from} --to {to}: the learning rate must rise from a number above 0 to a larger one"
    )]
    Rates {
        /// The first.
        from: f64,
        /// The last.
        to: f64,
    },
    /// `eval`: images with several labels and weights for one, or the reverse.
    #[error(
        "{} {}, and {} answers with {}; take weights that were trained on images of that kind",
        data,
        if *several { "has images with several labels" } else { "has one label an image" },
        weights.display(),
        if *several { "one class" } else { "several classes" }
    )]
    OtherLabels {
        /// The weights.
        weights: PathBuf,
        /// The images.
        data: String,
        /// Whether the images have several labels.
        several: bool,
    },
    /// `compare` on images with several labels.
    #[error(
        "{data} has images with several labels; compare measures accuracy, so give it a set with one label an image"
    )]
    ComparesOneLabel {
        /// The images.
        data: String,
    },
    /// `eval --report` into the folder of a run.
    #[error("{} is the folder of a run, whose own report would be replaced; give another folder", folder.display())]
    ReportInRun {
        /// The folder.
        folder: PathBuf,
    },
    /// `eval`: images of classes that the weights do not know.
    #[error(
        "{} of the {classes} classes are unknown to {}: {}; it knows {}; rename the folders, or give other weights",
        unknown.len(),
        weights.display(),
        first_few(unknown),
        first_few(known)
    )]
    UnknownClasses {
        /// The weights.
        weights: PathBuf,
        /// Classes of the images.
        classes: usize,
        /// Those of them that the weights do not know.
        unknown: Vec<String>,
        /// The classes of the weights.
        known: Vec<String>,
    },
    /// `eval`: a set with images of the weights' run, none of which is in the split.
    #[error(
        "none of the run's {of_run} {split} images ({}) is in {data}, which has others of it; give the folder that the run \
         was trained on, or another --split",
        path.display()
    )]
    NoneOfRun {
        /// The data set.
        data: String,
        /// The split.
        split: &'static str,
        /// Images of the split in the run's list.
        of_run: usize,
        /// The run's list.
        path: PathBuf,
    },
    /// `check --strict`: a set with faults, each of which was named.
    #[error("{data} has faults of {kinds} {}; leave --strict out to be only told of them", if *kinds == 1 { "kind" } else { "kinds" })]
    Faults {
        /// The data set.
        data: String,
        /// Kinds of faults.
        kinds: usize,
    },
    /// `eval`: a set without an image that can be read.
    #[error("no image of {data} can be read")]
    NoImage {
        /// The data set.
        data: String,
    },
    /// `predict`: a tensor file that holds no images.
    #[error("cannot read the image {}: {problem}", path.display())]
    NoImages {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: ImagesProblem,
    },
    /// `predict`: a folder without an image.
    #[error(
        "there is no image in {} or the folders in it; files whose names end in .jpg, .png, .webp and so on are taken, hidden \
         ones are not",
        folder.display()
    )]
    NoImageIn {
        /// The folder.
        folder: PathBuf,
    },
    /// `predict`: a folder far below another.
    #[error("{} is more than {most} folders deep; does a link lead to a folder above it?", folder.display())]
    TooDeep {
        /// The folder.
        folder: PathBuf,
        /// The most that are entered.
        most: usize,
    },
    /// `predict`: a name that is neither there nor a pattern of what is there.
    #[error(
        "{pattern} is no file, and no file matches it as a pattern{problem}; *, ?, [abc] and ** are understood"
    )]
    NoMatch {
        /// The text that was typed.
        pattern: String,
        /// The mistake in a pattern that is none, after `: `; or nothing.
        problem: String,
    },
    /// `predict`: a list of paths that has none.
    #[error("{from} names no image: give paths, one a line")]
    NothingListed {
        /// The list.
        from: String,
    },
    /// `predict`: a line too long for a path.
    #[error(
        "a line of {from} has more than {most} bytes, which is no path; give paths, one a line"
    )]
    LongLine {
        /// The list.
        from: String,
        /// The most bytes of a line.
        most: u64,
    },
    /// `predict` and `explain`: inputs that cannot be read, each of which was named.
    #[error("{failed} of {inputs} inputs cannot be read")]
    Inputs {
        /// Those that cannot be read.
        failed: usize,
        /// All of them.
        inputs: usize,
    },
    /// An output that is an input.
    #[error("{} is read by the same command; write to another file", path.display())]
    OutIsInput {
        /// The file.
        path: PathBuf,
    },
    /// `predict`: one file for the results and the logits.
    #[error("--out and --logits both name {}; give each a file of its own", path.display())]
    TwoResults {
        /// The file.
        path: PathBuf,
    },
    /// `bench`: a launch for forward passes.
    #[error("--launch is for --mode train; leave it out")]
    LaunchOfInference,
    /// `explain`: two images whose drawings would have one name.
    #[error(
        "two drawings would be written to {}; without --out, each is written beside its image",
        path.display()
    )]
    TwoDrawings {
        /// The drawing.
        path: PathBuf,
    },
    /// `explain`: a file in place of a folder.
    #[error("--out {} is a file; give a folder", path.display())]
    IsFile {
        /// The file.
        path: PathBuf,
    },
    /// `explain`: a class that the weights do not know.
    #[error("there is no class {class}: --class takes a name, or a number from 0 to {last}")]
    NoClass {
        /// The text that was typed.
        class: String,
        /// The last number.
        last: usize,
    },
    /// `explain`: a layer that the network does not have.
    #[error("there is no layer {layer}{hint}: --layer takes {}, or features, the last map", known.join(", "))]
    NoLayer {
        /// The text that was typed.
        layer: String,
        /// ` (did you mean …?)`, or nothing.
        hint: String,
        /// The names of all layers, in the order of the forward pass.
        known: Vec<String>,
    },
    /// `explain`: several classes, or one of a person's choice, by a method that knows none.
    #[error(
        "--method eigen draws one map, whatever the class; leave --class and --top out, or use gradcam or gradcam++"
    )]
    SameForAllClasses,
    /// `export`: a file whose name does not tell its format.
    #[error(
        "the name {} does not say which format: end it in .onnx or .pt, or add --format",
        path.display()
    )]
    NoFormat {
        /// The file.
        path: PathBuf,
    },
    /// `import`: a value out of range.
    #[error("what was typed cannot be written: {problem}")]
    Described {
        /// The value. No source: the message has it all.
        problem: weights::Error,
    },
    /// `import`: another number of names than of classes.
    #[error("--class-names has {names} names, and the head of the file {classes} classes")]
    ClassNames {
        /// The number of names.
        names: usize,
        /// The number of classes; 0 without a head.
        classes: i64,
    },
    /// `export`: preprocessing in a folder for timm.
    #[error("timm prepares images itself, as config.json says; leave --with-preprocessing out")]
    HubPreprocessing,
    /// `export`: a comparison for a file that ONNX Runtime does not read.
    #[error(
        "--verify compares with ONNX Runtime, which reads .onnx only; export that, or leave --verify out"
    )]
    VerifyOnnx,
    /// `export`: answers that differ.
    #[error(
        "ONNX Runtime gives other answers than `predict` for {}: probabilities differ by up to {largest:.1e}",
        out.display()
    )]
    Verify {
        /// The file.
        out: PathBuf,
        /// The largest difference of a probability.
        largest: f64,
    },
    /// `recipes`: a name that no recipe has.
    #[error("no recipe '{name}'{hint}; there are {}", known.join(", "))]
    NoRecipe {
        /// The text that was typed.
        name: String,
        /// ` (did you mean …?)`, or nothing.
        hint: String,
        /// The names of all recipes.
        known: Vec<&'static str>,
    },
    /// `ablate`: results of a run that cannot be used.
    #[error("{}: {reason}; remove it to measure the run again", path.display())]
    Results {
        /// The file.
        path: PathBuf,
        /// The problem. No source: the message has it all.
        reason: serde_json::Error,
    },
    /// `bench`: a width for a preset of one width.
    #[error(
        "--width scales preset 'cifar' only, not '{preset}'; add --preset cifar or leave --width out"
    )]
    Width {
        /// The preset.
        preset: Preset,
    },
    /// `bench`: layers of a network that cannot be timed by layer.
    #[error(
        "preset '{preset}' is not packed for inference, so its layers cannot be told apart ({problem}); leave --layers out"
    )]
    Layers {
        /// The preset.
        preset: Preset,
        /// Why it is not packed.
        problem: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `compare`: a folder that is not there.
    #[error("{} is no folder: create it first", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// `compare`: images that are too small for Inception V3.
    #[error(
        "Inception V3 takes images of {smallest} pixels or more, got {side}: --set 'progressive=[{{ until = 1.0, size = \
         {smallest} }}]'"
    )]
    TooSmall {
        /// The smallest side that it takes.
        smallest: usize,
        /// The side of the images.
        side: usize,
    },
    /// `compare`: a recipe with something that it does not do.
    #[error("recipe {recipe}: compare {problem}")]
    Compare {
        /// The recipe.
        recipe: String,
        /// The value, and how to leave it out.
        problem: String,
    },
}

impl Refusal {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Refusal::NoImage { .. }
            | Refusal::NoImages { .. }
            | Refusal::NoImageIn { .. }
            | Refusal::TooDeep { .. }
            | Refusal::NoMatch { .. }
            | Refusal::NothingListed { .. }
            | Refusal::LongLine { .. }
            | Refusal::Inputs { .. }
            | Refusal::NoneOfRun { .. }
            | Refusal::Faults { .. } => ExitCode::Data,
            _ => ExitCode::Usage,
        }
    }
}
