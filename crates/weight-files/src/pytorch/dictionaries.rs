//! Finds the dictionaries of tensors in the values of a pickle, wherever they lie: a checkpoint holds the weights beside the
//! optimizer's state, averages, arguments and counters.
//!
//! A dictionary of an optimizer has integers as keys, so it is never taken for one of weights.

use std::collections::HashSet;

use crate::pickle::{Id, Opaque, Pickle, Value};

/// The deepest nesting that is searched. Checkpoints have three or four levels.
const DEEPEST: usize = 24;

/// The longest place or name that is built, in bytes.
const LONGEST: usize = 4096;

/// The most modules in a whole network: a file could list one again and again.
const MOST_MODULES: usize = 100_000;

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
pub(super) fn find(pickle: &Pickle) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    // The next one last.
    let mut open = vec![(pickle.root, String::new(), 0)];
    while let Some((id, place, depth)) = open.pop() {
        if depth > DEEPEST || !seen.insert(id) {
            continue;
        }
        let mut inner = Vec::new();
        match &pickle.values[id] {
            Value::Dict(items) => visit(pickle, items, &place, &mut inner, &mut found),
            Value::Tuple(items) | Value::List(items) => {
                let place = |number: usize| joined(&place, &number.to_string());
                inner.extend(items.iter().enumerate().map(|(number, &id)| (id, place(number))));
            }
            Value::Opaque(object) => match module(pickle, object) {
                Some(_) => found.extend(flattened(pickle, object, &place)),
                None => {
                    visit(pickle, &object.items, &place, &mut inner, &mut found);
                    inner.extend(
                        object.parts.iter().chain(&object.state).map(|&id| (id, place.clone())),
                    );
                }
            },
            _ => {}
        }
        open.extend(inner.into_iter().rev().map(|(id, place)| (id, place, depth + 1)));
    }
    found
}

/// Notes the tensors among `items`, and the values to visit next.
fn visit<'a>(
    pickle: &'a Pickle,
    items: &[(Id, Id)],
    place: &str,
    inner: &mut Vec<(Id, String)>,
    found: &mut Vec<Found<'a>>,
) {
    let mut own = Found { place: place.to_string(), tensors: Vec::new(), objects: Vec::new() };
    for (key, value) in items {
        let Value::Text(name) = &pickle.values[*key] else { continue };
        match &pickle.values[*value] {
            Value::Tensor { .. } => own.tensors.push((name.clone(), *value)),
            Value::Opaque(object) => {
                own.objects.push((name.clone(), object));
                inner.push((*value, joined(place, name)));
            }
            Value::Dict(_) | Value::List(_) | Value::Tuple(_) => {
                inner.push((*value, joined(place, name)));
            }
            _ => {}
        }
    }
    if !own.tensors.is_empty() {
        found.push(own);
    }
}

/// The parts of a whole network, which `torch.save(model)` writes: parameters, buffers and modules.
fn module<'a>(pickle: &'a Pickle, object: &Opaque) -> Option<[&'a [(Id, Id)]; 3]> {
    let Value::Dict(state) = &pickle.values[object.state?] else { return None };
    let part = |name: &str| match pickle.get(state, name) {
        Some(Value::Dict(items)) => Some(&items[..]),
        _ => None,
    };
    Some([part("_parameters")?, part("_buffers")?, part("_modules")?])
}

/// The tensors of a whole network, under the names that its state dict would have.
fn flattened<'a>(pickle: &'a Pickle, network: &'a Opaque, place: &str) -> Option<Found<'a>> {
    let mut own = Found { place: place.to_string(), tensors: Vec::new(), objects: Vec::new() };
    let mut open = vec![(network, String::new(), 0)];
    let mut left = MOST_MODULES;
    while let Some((object, path, depth)) = open.pop() {
        let Some([parameters, buffers, modules]) = module(pickle, object) else { continue };
        left = left.checked_sub(1)?;
        for (key, value) in parameters.iter().chain(buffers) {
            let name = joined(&path, pickle.text(*key));
            match &pickle.values[*value] {
                Value::Tensor { .. } => own.tensors.push((name, *value)),
                Value::Opaque(object) => own.objects.push((name, object)),
                _ => {}
            }
        }
        for (key, value) in modules {
            if let Value::Opaque(inner) = &pickle.values[*value]
                && depth < DEEPEST
            {
                open.push((inner, joined(&path, pickle.text(*key)), depth + 1));
            }
        }
    }
    (!own.tensors.is_empty()).then_some(own)
}

/// `place.name`, not longer than any real one is.
fn joined(place: &str, name: &str) -> String {
    let whole = if place.is_empty() { name.to_string() } else { format!("{place}.{name}") };
    if whole.len() <= LONGEST { whole } else { "…".to_string() }
}
