//! From the values of a pickle to named arrays.

use std::collections::BTreeMap;

use crate::pickle::{Id, Pickle, Value};
use crate::{Array, Arrays, DType, Error};

/// The keys under which training scripts save the state dict.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];

/// The prefix that `DataParallel` gives every name.
const PARALLEL: &str = "module.";

/// The numbers beside the pickle, by the key of their storage.
pub(super) type Storages<'a> = BTreeMap<&'a str, std::borrow::Cow<'a, [u8]>>;

/// The storages that a pickle refers to: for each key its type and its count of numbers.
pub(super) fn storages(pickle: &Pickle) -> Result<BTreeMap<&str, (DType, usize)>, Error> {
    let mut asked = BTreeMap::new();
    for value in &pickle.values {
        let Value::Storage { key, dtype, count } = value else { continue };
        let key = pickle.text(*key);
        if asked.insert(key, (*dtype, *count)).is_some_and(|other| other != (*dtype, *count)) {
            return Err(Error::Damaged(format!("the storage {key} has two types or lengths")));
        }
    }
    Ok(asked)
}

/// The arrays of the state dict.
pub(super) fn arrays(pickle: &Pickle, storages: &Storages) -> Result<Arrays, Error> {
    let Value::Dict(root) = pickle.root() else {
        return Err(Error::Unsupported("it holds no state dict".to_string()));
    };
    let is_tensor = |id: &Id| matches!(pickle.values[*id], Value::Tensor { .. });
    let has_tensors = |dict: &[(Id, Id)]| dict.iter().any(|(_, value)| is_tensor(value));
    let wrapped = WRAPPERS.iter().filter_map(|key| match pickle.get(root, key) {
        Some(Value::Dict(dict)) => Some(dict),
        _ => None,
    });
    let dict = std::iter::once(root).chain(wrapped).find(|dict| has_tensors(dict));
    let dict = dict.ok_or_else(|| {
        let wrappers = WRAPPERS.join(", ");
        Error::Unsupported(format!("it has no tensors at the top level, nor under {wrappers}"))
    })?;
    let mut arrays = Arrays::new();
    let mut total = 0_usize;
    for (key, value) in dict {
        let Value::Tensor { storage, view } = &pickle.values[*value] else { continue };
        let Value::Text(name) = &pickle.values[*key] else {
            return Err(Error::Damaged("the name of a tensor is not a str".to_string()));
        };
        let Value::Storage { key, dtype, .. } = &pickle.values[*storage] else {
            return Err(Error::Damaged(format!("the tensor {name} has no storage")));
        };
        let stored = storages.get(pickle.text(*key)).map_or(&[][..], |stored| stored);
        let count = view.check(stored.len() / dtype.bytes());
        let count = count.map_err(|problem| Error::Damaged(format!("{name} {problem}")))?;
        // A file could name one large tensor again and again, and each name is a copy.
        total = total.saturating_add(count * dtype.bytes());
        let all: usize = storages.values().map(|stored| stored.len()).sum();
        if total > all.saturating_mul(MOST_NAMES) {
            return Err(Error::Damaged(format!("its tensors have {total} bytes of {all} stored")));
        }
        let data = view.gather(stored, *dtype, count);
        arrays.insert(name.clone(), Array::new(name, *dtype, view.shape.clone(), data)?);
    }
    Ok(without_parallel(arrays))
}

/// The most names that a number may have on average: one network here lists a shared block seven times.
const MOST_NAMES: usize = 16;

fn without_parallel(arrays: Arrays) -> Arrays {
    if !arrays.keys().all(|name| name.starts_with(PARALLEL)) {
        return arrays;
    }
    arrays.into_iter().map(|(name, array)| (name[PARALLEL.len()..].to_string(), array)).collect()
}
