//! Finds the dictionaries of tensors in the values of a pickle, wherever they lie: a checkpoint holds the weights beside the
//! optimizer's state, averages, arguments and counters.
//!
//! A dictionary of an optimizer has integers as keys, so it is never taken for one of weights.

use std::collections::HashSet;

use crate::pickle::{Id, Opaque, Pickle, Value};
use crate::{Error, MOST_TENSORS};

/// The deepest nesting that is searched. Checkpoints have three or four levels.
const DEEPEST: usize = 24;

/// The longest place that is built, in bytes.
const LONGEST: usize = 4096;

/// Bytes of names for each byte of the pickle: a file could refer to one long name, or list one module, again and again.
const MOST_NAMES: usize = 16;

/// Bytes that a name takes beside its letters.
const BESIDE: usize = 64;

/// A dictionary of tensors.
pub(super) struct Found<'a> {
    /// The keys that lead to it, with dots between them.
    pub(super) place: String,
    /// Its tensors, by their names.
    pub(super) tensors: Vec<(String, Id)>,
    /// Its objects that may hold numbers, by their names.
    pub(super) objects: Vec<(String, &'a Opaque)>,
}

/// Every dictionary with at least one tensor, in the order of the file.
///
/// # Errors
/// More names than a file of this length has.
pub(super) fn find(pickle: &Pickle) -> Result<Vec<Found<'_>>, Error> {
    let left = pickle.length.saturating_mul(MOST_NAMES).saturating_add(1 << 20);
    let mut search = Search { pickle, left, seen: HashSet::new(), found: Vec::new() };
    search.run()?;
    let count: usize = search.found.iter().map(|found| found.tensors.len()).sum();
    if count > MOST_TENSORS {
        return Err(Error::Unsupported(format!(
            "it has {count} tensors, more than {MOST_TENSORS}"
        )));
    }
    Ok(search.found)
}

struct Search<'a> {
    pickle: &'a Pickle,
    /// Bytes that names may still take.
    left: usize,
    seen: HashSet<Id>,
    found: Vec<Found<'a>>,
}

impl<'a> Search<'a> {
    fn run(&mut self) -> Result<(), Error> {
        // The next one last.
        let mut open = vec![(self.pickle.root, String::new(), 0)];
        self.seen.insert(self.pickle.root);
        while let Some((id, place, depth)) = open.pop() {
            if depth > DEEPEST {
                continue;
            }
            let mut inner = Vec::new();
            match &self.pickle.values[id] {
                Value::Dict(items) => self.visit(items, &place, &mut inner)?,
                Value::Tuple(items) | Value::List(items) => {
                    for (number, &id) in items.iter().enumerate() {
                        self.later(id, &place, &number.to_string(), &mut inner)?;
                    }
                }
                Value::Opaque(object) => match module(self.pickle, object) {
                    Some(_) => {
                        let network = self.flattened(object, &place)?;
                        self.found.extend(network);
                    }
                    None => {
                        self.visit(&object.items, &place, &mut inner)?;
                        for &id in object.parts.iter().chain(&object.state) {
                            self.later(id, &place, "", &mut inner)?;
                        }
                    }
                },
                _ => {}
            }
            open.extend(inner.into_iter().rev().map(|(id, place)| (id, place, depth + 1)));
        }
        Ok(())
    }

    /// Takes a name of `length` bytes from what is left.
    fn take(&mut self, length: usize) -> Result<(), Error> {
        match self.left.checked_sub(length + BESIDE) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Error::Damaged(
                "its names take more memory than a file of its length needs".to_string(),
            )),
        }
    }

    /// Notes the value `id`, called `name` at `place`, to be visited next, once.
    fn later(
        &mut self,
        id: Id,
        place: &str,
        name: &str,
        inner: &mut Vec<(Id, String)>,
    ) -> Result<(), Error> {
        let holds = matches!(
            self.pickle.values[id],
            Value::Dict(_) | Value::List(_) | Value::Tuple(_) | Value::Opaque(_)
        );
        if holds && self.seen.insert(id) {
            self.take(place.len() + name.len())?;
            inner.push((id, joined(place, name)));
        }
        Ok(())
    }

    /// Notes the tensors among `items`, and the values to visit next.
    fn visit(
        &mut self,
        items: &[(Id, Id)],
        place: &str,
        inner: &mut Vec<(Id, String)>,
    ) -> Result<(), Error> {
        let mut own = Found { place: place.to_string(), tensors: Vec::new(), objects: Vec::new() };
        for (key, value) in items {
            let Value::Text(name) = &self.pickle.values[*key] else { continue };
            match &self.pickle.values[*value] {
                Value::Tensor { .. } => {
                    self.take(name.len())?;
                    own.tensors.push((name.clone(), *value));
                }
                Value::Opaque(object) => {
                    self.take(name.len())?;
                    own.objects.push((name.clone(), object));
                }
                _ => {}
            }
            self.later(*value, place, name, inner)?;
        }
        if !own.tensors.is_empty() {
            self.found.push(own);
        }
        Ok(())
    }

    /// The tensors of a whole network, under the names that its state dict would have.
    fn flattened(&mut self, network: &'a Opaque, place: &str) -> Result<Option<Found<'a>>, Error> {
        let pickle = self.pickle;
        let mut own = Found { place: place.to_string(), tensors: Vec::new(), objects: Vec::new() };
        let mut open = vec![(network, String::new(), 0)];
        while let Some((object, path, depth)) = open.pop() {
            let Some([parameters, buffers, modules]) = module(pickle, object) else { continue };
            for (key, value) in parameters.iter().chain(buffers) {
                let leaf = pickle.text(*key);
                self.take(path.len() + leaf.len())?;
                match &pickle.values[*value] {
                    Value::Tensor { .. } => own.tensors.push((joined(&path, leaf), *value)),
                    Value::Opaque(object) if module(pickle, object).is_none() => {
                        own.objects.push((joined(&path, leaf), object));
                    }
                    _ => {}
                }
            }
            for (key, value) in modules {
                if let Value::Opaque(inner) = &pickle.values[*value]
                    && depth < DEEPEST
                {
                    let name = pickle.text(*key);
                    self.take(path.len() + name.len())?;
                    open.push((inner, joined(&path, name), depth + 1));
                }
            }
        }
        Ok((!own.tensors.is_empty()).then_some(own))
    }
}

/// The classes of TorchScript, which writes tensors and modules as attributes of one dictionary.
const SCRIPT: &str = "__torch__.";

/// The parts of a whole network, which `torch.save(model)` or `torch.jit.save` writes: parameters, buffers and modules.
fn module<'a>(pickle: &'a Pickle, object: &Opaque) -> Option<[&'a [(Id, Id)]; 3]> {
    let Value::Dict(state) = &pickle.values[object.state?] else { return None };
    if object.name.starts_with(SCRIPT) {
        return Some([state, &[], state]);
    }
    let part = |name: &str| match pickle.get(state, name) {
        Some(Value::Dict(items)) => Some(&items[..]),
        _ => None,
    };
    Some([part("_parameters")?, part("_buffers")?, part("_modules")?])
}

/// `place.name`, not longer than any real one is.
fn joined(place: &str, name: &str) -> String {
    match (place, name) {
        ("", only) | (only, "") if only.len() <= LONGEST => only.to_string(),
        (place, name) if place.len() + name.len() < LONGEST => format!("{place}.{name}"),
        _ => "…".to_string(),
    }
}
