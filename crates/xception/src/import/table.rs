//! The names of one network in files: what is found there is checked against them, and becomes ours.

use std::collections::{BTreeMap, BTreeSet};

use tch::Tensor;

use super::copies::{self, Copy, Found, Take};
use super::head::{self, Head};
use super::note::Note;
use super::{Error, Imported, Source, keras_network, module};
use crate::outline::Outline;
use crate::preset::{ModelSpec, Preset};
use crate::weights::{Contents, Mismatch, Problem, Tensors, is_counter};

/// The names of a network in a file.
pub(super) struct Table {
    preset: Preset,
    /// The place of each of our variables but the head's.
    backbone: BTreeMap<String, Source>,
    /// The name of the head there.
    official: String,
    /// The names of our head's weight and bias.
    head: [String; 2],
    /// The length of the head's input.
    features: i64,
    /// Whether the file's names and axes are Keras's.
    is_keras: bool,
}

impl Table {
    pub(super) fn new(
        spec: &ModelSpec,
        mut sources: BTreeMap<String, Source>,
    ) -> Result<Self, Error> {
        let name = spec.architecture()?.names.head().to_string();
        let head = [format!("{name}.weight"), format!("{name}.bias")];
        let [weight, _] = head.each_ref().map(|name| sources.remove(name));
        let is_keras = weight.as_ref().is_some_and(|weight| weight.names[0].ends_with("/kernel"));
        let (official, features) = weight.map_or((name, 0), |weight| {
            let official = module(&weight.names[0]).unwrap_or_default();
            (official.to_string(), weight.shape[usize::from(!is_keras)])
        });
        Ok(Self { preset: spec.preset, backbone: sources, official, head, features, is_keras })
    }

    /// Our own names.
    pub(super) fn own(spec: &ModelSpec) -> Result<Self, Error> {
        let variables = Outline::new(&spec.architecture()?, spec.classes)?.variables();
        let source = |(name, shape): (String, Vec<i64>)| {
            let source = Source::same(vec![name.clone()], shape);
            (name, source)
        };
        Self::new(spec, variables.into_iter().map(source).collect())
    }

    /// The names of the backbone in a file.
    fn expected(&self) -> BTreeSet<&str> {
        self.backbone.values().flat_map(|source| &source.names).map(String::as_str).collect()
    }

    pub(super) fn find<'a>(&self, contents: &'a Contents, take: &Take) -> Result<Found<'a>, Error> {
        copies::find(contents, &self.expected(), take)
    }

    pub(super) fn fits(&self, copy: &Copy) -> usize {
        self.expected().iter().filter(|&&name| copy.tensors.contains_key(name)).count()
    }

    /// The number of names of the backbone that a file has in one place, and the number of all. Takes little time, whatever
    /// the file is.
    pub(super) fn names_in(&self, contents: &Contents) -> [usize; 2] {
        let expected = self.expected();
        [copies::most_names(contents, &expected), expected.len()]
    }

    pub(super) fn import(&self, contents: &Contents, found: Found) -> Result<Imported, Error> {
        let Found { copy, label, others } = found;
        let expected = self.expected();
        let mut problems = Vec::new();
        let mut tensors = self.backbone(&copy, &mut problems)?;
        let head = self.head(contents, &copy, &expected);
        let ignored = self.ignored(&copy, &head, &expected, &mut problems);
        Mismatch::check(problems)
            .map_err(|mismatch| Error::Mismatch { preset: self.preset, mismatch })?;
        let mut notes = Vec::new();
        if !others.is_empty() {
            notes.push(Note::Copies { taken: label, others });
        } else if label != copies::ROOT {
            notes.push(Note::Place { label });
        }
        let classes = self.carry_over(head, &mut tensors, &mut notes);
        if !ignored.is_empty() {
            notes.push(Note::Ignored { names: ignored });
        }
        let own = self.preset.preprocessing();
        let preprocessing =
            contents.network.as_ref().map(|network| keras_network::preprocessing(network, own));
        Ok(Imported { tensors, classes, preprocessing, notes })
    }

    fn head(&self, contents: &Contents, copy: &Copy, expected: &BTreeSet<&str>) -> Head {
        let head = head::find(copy, expected, &self.official, self.features);
        let head = match head {
            Head::Linear(linear) if !self.is_keras || contents.network.is_none() => {
                match head::rival(copy, expected, &linear, self.features) {
                    Some(reason) => Head::Unfit(reason),
                    None => Head::Linear(linear),
                }
            }
            head => head,
        };
        let (Head::Linear(linear), Some(network)) = (&head, &contents.network) else { return head };
        let layer = linear.module.rsplit('/').next().unwrap_or(&linear.module);
        match keras_network::head_problem(network, layer) {
            Some(reason) => Head::Unfit(reason),
            None => head,
        }
    }

    /// The names of the tensors that are left out; those that another network's layers would have are `problems`.
    fn ignored(
        &self,
        copy: &Copy,
        head: &Head,
        expected: &BTreeSet<&str>,
        problems: &mut Vec<Problem>,
    ) -> Vec<String> {
        let of_head = match head {
            Head::Unfit(_) => head::parts(copy, expected),
            _ => BTreeSet::new(),
        };
        let is_of_head = |name: &String| {
            let is_head =
                matches!(head, Head::Linear(linear) if module(name) == Some(&linear.module));
            is_head || of_head.contains(name)
        };
        let modules: BTreeSet<&str> = expected.iter().filter_map(|name| module(name)).collect();
        let mut ignored = Vec::new();
        for (name, tensor) in &copy.tensors {
            if expected.contains(name.as_str()) || is_counter(name) || is_of_head(name) {
                continue;
            }
            if !self.is_keras && is_layer(name, tensor, &modules) {
                problems.push(Problem::Unexpected { name: name.clone() });
            } else {
                ignored.push(format!("{}{name}", copy.prefix));
            }
        }
        let in_other = |name: &String| copy.is_of_another(name);
        let outside = copy.outside.keys();
        ignored.extend(
            outside
                .filter(|&name| !in_other(name) && !is_of_head(name) && !is_counter(name))
                .cloned(),
        );
        ignored
    }

    /// Adds the head under our names. Returns its number of classes.
    fn carry_over(&self, head: Head, tensors: &mut Tensors, notes: &mut Vec<Note>) -> Option<i64> {
        let linear = match head {
            Head::Linear(linear) => linear,
            Head::Missing => {
                notes.push(Note::NoHead);
                return None;
            }
            Head::Unfit(reason) => {
                notes.push(Note::UnfitHead { reason });
                return None;
            }
        };
        if linear.module != self.official {
            notes.push(Note::HeadName { name: linear.module.clone() });
        }
        if linear.bias.is_none() {
            notes.push(Note::NoBias);
        }
        tensors.extend(self.head.clone().into_iter().zip(linear.tensors()));
        Some(linear.outputs())
    }

    /// The backbone of `copy` under our names, with what is wrong in it.
    fn backbone(&self, copy: &Copy, problems: &mut Vec<Problem>) -> Result<Tensors, Error> {
        let mut imported = Tensors::new();
        for (ours, source) in &self.backbone {
            let mut first: Option<Tensor> = None;
            for name in &source.names {
                let tensor = copy.tensors.get(name).map(|tensor| source.unsqueezed(name, tensor));
                match tensor {
                    None => {
                        if let Some(reason) = copy.unread(name) {
                            return Err(Error::Unread {
                                preset: self.preset,
                                name: format!("{}{name}", copy.prefix),
                                reason: reason.to_string(),
                            });
                        }
                        problems.push(Problem::Missing { name: name.clone() });
                    }
                    Some(tensor) if tensor.size() != source.shape => {
                        problems.push(Problem::Shape {
                            name: name.clone(),
                            expected: source.shape.clone(),
                            got: tensor.size(),
                        });
                    }
                    Some(tensor) if first.as_ref().is_some_and(|first| !first.equal(&tensor)) => {
                        problems.push(Problem::Unequal {
                            name: source.names[0].clone(),
                            other: name.clone(),
                        });
                    }
                    Some(tensor) => first = first.or(Some(tensor)),
                }
            }
            if let Some(tensor) = first {
                imported.insert(ours.clone(), source.permuted(&tensor));
            }
        }
        Ok(imported)
    }
}

/// Whether a tensor that is not of the network is of a layer that would change its answers: a convolution, a norm, or
/// something more in a module that the network has.
fn is_layer(name: &str, tensor: &Tensor, modules: &BTreeSet<&str>) -> bool {
    let is_kernel = tensor.dim() >= 3 && name.ends_with(".weight");
    let is_norm = name.ends_with(".running_mean") || name.ends_with(".running_var");
    is_kernel || is_norm || module(name).is_some_and(|module| modules.contains(module))
}
