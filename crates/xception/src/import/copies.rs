//! Finds a network in a file: the dictionary, the prefix of its names, and of several copies the one to take.
//!
//! Checkpoints wrap the weights in dictionaries (`state_dict`), wrappers put a prefix before each name (`model.`,
//! `_orig_mod.`, `module.`), and trainers keep a moving average beside the weights. A network is wherever its names are.

use std::collections::{BTreeMap, BTreeSet};

use super::note::listed;
use super::{Error, keras_file};
use crate::weights::{Contents, Dictionary, Tensors};

/// The copy to take of a network that a file holds more than once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Take {
    /// The weights themselves; a moving average only where a file has nothing else.
    #[default]
    First,
    /// The weights themselves.
    Plain,
    /// A moving average of the weights.
    Average,
    /// The dictionary or prefix of this name.
    Named(String),
}

/// A network in a file.
pub(super) struct Copy<'a> {
    dictionary: &'a Dictionary,
    /// The start of its names, with the dot or stroke at its end.
    pub(super) prefix: String,
    /// Its tensors, by the rest of their names.
    pub(super) tensors: Tensors,
    /// The tensors of the same dictionary that have other prefixes, by their names.
    pub(super) outside: Tensors,
    /// The prefixes of other copies in the same dictionary, and of what is around them.
    rivals: Vec<String>,
}

impl Copy<'_> {
    /// Whether a tensor outside belongs to another copy of the network.
    pub(super) fn is_of_another(&self, name: &str) -> bool {
        self.rivals.iter().any(|prefix| !prefix.is_empty() && name.starts_with(prefix.as_str()))
    }

    /// The reason why the value called `name` cannot be read, where it is there and cannot be.
    pub(super) fn unread(&self, name: &str) -> Option<&str> {
        self.dictionary.unread.get(&format!("{}{name}", self.prefix)).map(String::as_str)
    }
}

/// The networks of a file.
pub(super) struct Found<'a> {
    /// The one that was taken.
    pub(super) copy: Copy<'a>,
    /// Its dictionary and prefix; empty for the file itself.
    pub(super) label: String,
    /// Those of the others.
    pub(super) others: Vec<String>,
}

/// The most of the names `expected` that follow one prefix in a dictionary of `contents`.
pub(super) fn most_names(contents: &Contents, expected: &BTreeSet<&str>) -> usize {
    let candidates = contents
        .dictionaries
        .iter()
        .flat_map(|dictionary| candidates(dictionary, contents, expected));
    candidates.map(|candidate| candidate.fits).max().unwrap_or(0)
}

/// Finds the network whose names are `expected` in `contents`.
pub(super) fn find<'a>(
    contents: &'a Contents,
    expected: &BTreeSet<&str>,
    take: &Take,
) -> Result<Found<'a>, Error> {
    let mut candidates: Vec<Candidate> = contents
        .dictionaries
        .iter()
        .flat_map(|dictionary| candidates(dictionary, contents, expected))
        .collect();
    let best = candidates.iter().map(|candidate| candidate.fits).max().unwrap_or(0);
    // A block of the network has names that end as other names do: no copy of the whole.
    candidates.retain(|candidate| 2 * candidate.fits > best);
    let labels: Vec<String> = candidates.iter().map(Candidate::label).collect();
    let is_taken = |candidate: &Candidate| match take {
        Take::First => true,
        Take::Plain => !candidate.is_average(),
        Take::Average => candidate.is_average(),
        Take::Named(name) => candidate.is_called(name),
    };
    let (mut taken, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_taken);
    let Some(fits) = taken.iter().map(|candidate| candidate.fits).max() else {
        // A file that has no copy at all has not the one that was asked for, either.
        return match contents.dictionaries.iter().max_by_key(|dictionary| dictionary.tensors.len())
        {
            Some(dictionary) if labels.is_empty() => Ok(Found {
                copy: Candidate { dictionary, prefix: String::new(), keras: None, fits: 0 }
                    .copy(contents),
                label: dictionary.place.clone(),
                others: Vec::new(),
            }),
            _ => Err(Error::NoCopy { take: take.clone(), known: labels }),
        };
    };
    // Stable: the weights before their averages, whole ones before those that lack something.
    taken.sort_by_key(|candidate| (candidate.is_average(), fits - candidate.fits));
    let first = taken.remove(0);
    let rivals = taken
        .iter()
        .filter(|other| other.is_average() == first.is_average() && other.fits == first.fits);
    let rivals: Vec<String> = rivals
        .filter(|other| !first.equals(other, contents, expected))
        .map(Candidate::label)
        .collect();
    if !rivals.is_empty() {
        let known = std::iter::once(first.label()).chain(rivals).collect();
        return Err(Error::Ambiguous { known });
    }
    let mut copy = first.copy(contents);
    let others: Vec<&Candidate> = taken.iter().chain(&others).collect();
    let beside = others.iter().filter(|other| std::ptr::eq(other.dictionary, first.dictionary));
    copy.rivals = beside.map(|other| outer(&other.prefix, &first.prefix)).collect();
    let others = others.into_iter().map(Candidate::label).collect();
    Ok(Found { label: first.label(), copy, others })
}

/// The part of `prefix` before what it has in common with the end of `own`: `ema.` of `ema.net.` beside `model.net.`, where
/// the head of each network may be. The whole of it where nothing is left.
fn outer(prefix: &str, own: &str) -> String {
    let ends = prefix.match_indices('.').map(|(dot, _)| &prefix[dot + 1..]);
    let common = ends.filter(|end| !end.is_empty() && own.ends_with(end)).map(str::len).next();
    prefix[..prefix.len() - common.unwrap_or(0)].to_string()
}

/// The label of the file itself.
pub(super) const ROOT: &str = ".";

/// `labels` for a message.
pub(super) fn described(labels: &[String]) -> String {
    let described = |label: &String| match label.as_str() {
        ROOT => ". (the file itself)".to_string(),
        label => label.to_string(),
    };
    listed(&labels.iter().map(described).collect::<Vec<_>>())
}

/// A dictionary and a prefix after which expected names follow.
struct Candidate<'a> {
    dictionary: &'a Dictionary,
    prefix: String,
    /// Of Keras's files: the variables under the names that their layers give them.
    keras: Option<Tensors>,
    /// The number of expected names.
    fits: usize,
}

/// The words by which trainers name a moving average.
const AVERAGES: [&str; 5] = ["ema", "average", "averaged", "swa", "shadow"];

impl<'a> Candidate<'a> {
    fn label(&self) -> String {
        let prefix = self.prefix.trim_end_matches(['.', '/']);
        let parts = [self.dictionary.place.as_str(), prefix];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { ROOT.to_string() } else { parts.join(".") }
    }

    fn is_average(&self) -> bool {
        // `emaModel`, `netEMA` and `ema2` are words, too.
        let label = self.label();
        let mut words = String::new();
        let mut before = ' ';
        for letter in label.chars() {
            if letter.is_uppercase() && before.is_lowercase() {
                words.push(' ');
            }
            words.push(if letter.is_alphabetic() { letter } else { ' ' });
            before = letter;
        }
        words.to_lowercase().split(' ').any(|word| AVERAGES.contains(&word))
    }

    fn is_called(&self, name: &str) -> bool {
        if name == ROOT {
            return self.label() == ROOT;
        }
        let name = name.trim_end_matches('.');
        let prefix = self.prefix.trim_end_matches(['.', '/']);
        name == self.label()
            || (!name.is_empty() && (name == self.dictionary.place || name == prefix))
    }

    fn copy(&self, contents: &Contents) -> Copy<'a> {
        let Self { dictionary, prefix, keras, .. } = self;
        if let Some(tensors) = keras {
            let outside = keras_file::containers(&dictionary.tensors).unwrap_or_default();
            let outside = outside.into_iter().filter(|(container, _)| container != prefix);
            let outside = outside.flat_map(|(container, tensors)| {
                tensors
                    .into_iter()
                    .map(move |(name, tensor)| (format!("{container}{name}"), tensor))
            });
            let tensors = shallow(tensors.iter());
            return Copy {
                dictionary,
                prefix: prefix.clone(),
                tensors,
                outside: outside.collect(),
                rivals: Vec::new(),
            };
        }
        let mut tensors = Tensors::new();
        let mut outside = Tensors::new();
        for (name, tensor) in named(dictionary, contents) {
            match name.strip_prefix(prefix.as_str()) {
                Some(rest) => tensors.insert(rest.to_string(), tensor.shallow_clone()),
                None => outside.insert(name.to_string(), tensor.shallow_clone()),
            };
        }
        Copy { dictionary, prefix: prefix.clone(), tensors, outside, rivals: Vec::new() }
    }

    /// Whether two copies are one: some files have the same dictionary at two places.
    fn equals(&self, other: &Self, contents: &Contents, expected: &BTreeSet<&str>) -> bool {
        let (one, other) = (self.copy(contents).tensors, other.copy(contents).tensors);
        expected.iter().all(|&name| match (one.get(name), other.get(name)) {
            (Some(one), Some(other)) => one.size() == other.size() && one.equal(other),
            (None, None) => true,
            _ => false,
        })
    }
}

/// The tensors of a dictionary by all their names: a safetensors file written by `save_model` holds a shared tensor once,
/// and says in its metadata which name stands for which.
fn named<'a>(
    dictionary: &'a Dictionary,
    contents: &'a Contents,
) -> impl Iterator<Item = (&'a str, &'a tch::Tensor)> {
    let own = dictionary.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    let again = contents
        .metadata
        .iter()
        .filter_map(|(name, of)| Some((name.as_str(), dictionary.tensors.get(of)?)));
    own.chain(again)
}

fn candidates<'a>(
    dictionary: &'a Dictionary,
    contents: &Contents,
    expected: &BTreeSet<&str>,
) -> Vec<Candidate<'a>> {
    if let Some(containers) = keras_file::containers(&dictionary.tensors) {
        let candidate = |(prefix, tensors): (String, Tensors)| {
            let fits = tensors.keys().filter(|name| expected.contains(name.as_str())).count();
            Candidate { dictionary, prefix, keras: Some(tensors), fits }
        };
        return containers.into_iter().map(candidate).filter(|found| found.fits > 0).collect();
    }
    let longest = expected.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut counts = BTreeMap::<&str, usize>::new();
    for (name, _) in named(dictionary, contents) {
        let starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        for start in starts.filter(|start| name.len() - start <= longest) {
            if expected.contains(&name[start..]) {
                *counts.entry(&name[..start]).or_default() += 1;
            }
        }
    }
    let candidate = |(prefix, fits): (&str, usize)| Candidate {
        dictionary,
        prefix: prefix.to_string(),
        keras: None,
        fits,
    };
    counts.into_iter().map(candidate).collect()
}

fn shallow<'a>(tensors: impl Iterator<Item = (&'a String, &'a tch::Tensor)>) -> Tensors {
    tensors.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
}
