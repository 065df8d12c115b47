//! The import of foreign state dicts, which have the names of the script that made them, onto our names.
//!
//! The network is found wherever it lies in the file ([`Take`]). Every name of its backbone must be there, every shape must
//! fit, and names that stand for one shared tensor must agree; all problems are reported at once. A head is carried over
//! whatever its name, if it is a linear layer. What else the file holds is left out and said ([`Note`]), unless it is of
//! another network's layers.

mod copies;
mod head;
mod keras_file;
mod keras_network;
mod note;
mod originals;
mod sources;
mod table;

use std::collections::BTreeMap;

use self::table::Table;
use crate::out_of_range::OutOfRange;
use crate::outline::Outline;
use crate::preprocessing::Preprocessing;
use crate::preset::{ModelSpec, Preset};
use crate::weights::{Contents, Mismatch, Tensors};

pub use copies::Take;
pub use note::Note;
pub use sources::Source;

/// A state dict that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Tensors that are not the original's.
    #[error("cannot import as preset '{preset}': {mismatch}")]
    Mismatch {
        /// The preset whose original was expected.
        preset: Preset,
        /// Every problem, under the original's names.
        mismatch: Mismatch,
    },
    /// A tensor of the network that needs code to be read.
    #[error("cannot import as preset '{preset}': {name} is {reason}; save it as a plain tensor")]
    Unread {
        /// The preset whose original was expected.
        preset: Preset,
        /// The name in the file.
        name: String,
        /// The reason.
        reason: String,
    },
    /// A copy of the network that the file does not have.
    #[error("the file has no weights called {}; it has {}", asked(take), copies::described(known))]
    NoCopy {
        /// The copy that was asked for.
        take: Take,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Several different networks in one file.
    #[error(
        "the file has the network more than once, with different weights: {}; take one with --take",
        copies::described(known)
    )]
    Ambiguous {
        /// The dictionary and prefix of each.
        known: Vec<String>,
    },
    /// A scale, an option or a number of classes that no network has.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
}

fn asked(take: &Take) -> &str {
    match take {
        Take::First | Take::Plain => "plain",
        Take::Average => "ema",
        Take::Named(name) => name,
    }
}

/// An imported state dict.
#[derive(Debug)]
#[non_exhaustive]
pub struct Imported {
    /// The tensors, under our names and in our order of axes. Without a head, the backbone's only.
    pub tensors: Tensors,
    /// The number of classes of the head; `None` without a head that could be carried over.
    pub classes: Option<i64>,
    /// The preprocessing that the file implies; `None` where it says nothing.
    pub preprocessing: Option<Preprocessing>,
    /// The choices that were made.
    pub notes: Vec<Note>,
}

/// The place of each of our variables in the original's state dict.
///
/// # Errors
/// A scale, an option or a number of classes out of range.
pub fn sources(spec: &ModelSpec) -> Result<BTreeMap<String, Source>, Error> {
    let variables = Outline::new(&spec.architecture()?, spec.classes)?.variables();
    let source = |(name, shape): (String, Vec<i64>)| {
        let source = originals::source(spec, &name, shape);
        (name, source)
    };
    Ok(variables.into_iter().map(source).collect())
}

/// The original's state dict in `contents` under our names, and in our order of axes. The number of classes is the file's,
/// not that of `spec`. A state dict that has our names already is understood too.
///
/// # Errors
/// Names, shapes or shared tensors that are not the original's; the error lists every problem. Several networks, or none
/// that `take` asks for. A scale or an option out of range.
pub fn import(spec: &ModelSpec, contents: &Contents, take: &Take) -> Result<Imported, Error> {
    let original = Table::new(spec, sources(spec)?)?;
    let found = original.find(contents, take)?;
    let own = Table::own(spec)?;
    match own.find(contents, take) {
        Ok(as_ours) if own.fits(&as_ours.copy) > original.fits(&found.copy) => {
            own.import(contents, as_ours)
        }
        _ => original.import(contents, found),
    }
}

/// The presets whose original has exactly the backbone in `contents`, for files that do not say what they are. Presets that
/// scale are left out.
#[must_use]
pub fn presets(contents: &Contents, take: &Take) -> Vec<Preset> {
    let fits = |preset: &Preset| {
        let Ok(original) = original(*preset) else { return false };
        let [found, of] = original.names_in(contents);
        // To choose among several networks, or to find the one that was asked for, is the next step.
        let is_there = |take| {
            let found = original.find(contents, take);
            let imported = found.and_then(|found| original.import(contents, found));
            matches!(imported, Ok(_) | Err(Error::Ambiguous { .. }))
        };
        found == of && (is_there(&Take::First) || (*take != Take::First && is_there(take)))
    };
    Preset::all().filter(|preset| *preset != Preset::Cifar).filter(fits).collect()
}

/// The names of the original of `preset`.
fn original(preset: Preset) -> Result<Table, Error> {
    let spec = ModelSpec::new(preset);
    Table::new(&spec, sources(&spec)?)
}

/// A preset that has some of a file's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nearest {
    /// The preset.
    pub preset: Preset,
    /// The number of its original's tensors before the head that are in the file.
    pub found: usize,
    /// The number of all of them.
    pub of: usize,
}

/// The preset whose original shares the largest part of its names with `contents`, if that is more than half; the first of
/// several. Presets that scale are left out.
#[must_use]
pub fn nearest(contents: &Contents) -> Option<Nearest> {
    let of_preset = |preset: Preset| {
        let [found, of] = original(preset).ok()?.names_in(contents);
        Some(Nearest { preset, found, of })
    };
    let presets = Preset::all().filter(|preset| *preset != Preset::Cifar).filter_map(of_preset);
    let more = |one: Nearest, other: Nearest| {
        if other.found * one.of > one.found * other.of { other } else { one }
    };
    presets.reduce(more).filter(|nearest| 2 * nearest.found > nearest.of)
}

/// The module that a tensor belongs to.
fn module(name: &str) -> Option<&str> {
    name.rfind(['.', '/']).map(|end| &name[..end])
}
