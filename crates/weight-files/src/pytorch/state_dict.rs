//! From the values of a pickle to named arrays.

use std::collections::{BTreeMap, BTreeSet};

use super::dictionaries::{self, Found};
use crate::pickle::{Id, Pickle, Value};
use crate::{Array, Arrays, Contents, DType, Dictionary, Error};

/// The numbers beside the pickle, by the key of their storage.
pub(super) type Storages<'a> = BTreeMap<&'a str, std::borrow::Cow<'a, [u8]>>;

/// A state dict, or several, and the storages that it refers to.
pub(super) struct StateDicts<'a> {
    pickle: &'a Pickle,
    found: Vec<Found<'a>>,
}

impl<'a> StateDicts<'a> {
    /// Finds the dictionaries of tensors.
    pub(super) fn find(pickle: &'a Pickle) -> Result<Self, Error> {
        let found = dictionaries::find(pickle)?;
        if found.is_empty() {
            // An object that only Python can build may have been the weights.
            let object = pickle.values.iter().find_map(|value| match value {
                Value::Opaque(object) => Some(object),
                _ => None,
            });
            return Err(match object {
                Some(object) => Error::Forbidden { name: object.name.to_string(), at: object.at },
                None => Error::Unsupported("it holds no tensors under names".to_string()),
            });
        }
        Ok(Self { pickle, found })
    }

    /// The storages of all tensors that were found: for each key its type and its count of numbers.
    pub(super) fn storages(&self) -> Result<BTreeMap<&'a str, (DType, usize)>, Error> {
        let needed: BTreeSet<&str> = self.tensors().filter_map(|id| self.key(id)).collect();
        let mut asked = all_storages(self.pickle)?;
        asked.retain(|key, _| needed.contains(key));
        Ok(asked)
    }

    fn tensors(&self) -> impl Iterator<Item = Id> {
        self.found.iter().flat_map(|found| found.tensors.iter().map(|(_, id)| *id))
    }

    /// The key of a tensor's storage.
    fn key(&self, tensor: Id) -> Option<&'a str> {
        let Value::Tensor { storage, .. } = &self.pickle.values[tensor] else { return None };
        let Value::Storage { key, .. } = &self.pickle.values[*storage] else { return None };
        Some(self.pickle.text(*key))
    }

    /// The arrays of every dictionary.
    pub(super) fn read(&self, storages: &Storages) -> Result<Contents, Error> {
        let mut room =
            Room { stored: storages.values().map(|stored| stored.len()).sum(), taken: 0 };
        let read = |found| self.dictionary(found, storages, &mut room);
        let dictionaries = self.found.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Contents { dictionaries, network: None })
    }

    fn dictionary(
        &self,
        found: &Found,
        storages: &Storages,
        room: &mut Room,
    ) -> Result<Dictionary, Error> {
        let mut arrays = Arrays::new();
        for (name, id) in &found.tensors {
            let Value::Tensor { storage, view } = &self.pickle.values[*id] else { continue };
            let Value::Storage { key, dtype, .. } = &self.pickle.values[*storage] else {
                return Err(Error::Damaged(format!("the tensor {name} has no storage")));
            };
            let stored = storages.get(self.pickle.text(*key)).map_or(&[][..], |stored| stored);
            let count = view.check(stored.len() / dtype.bytes());
            let count = count.map_err(|problem| Error::Damaged(format!("{name} {problem}")))?;
            room.take(count * dtype.bytes())?;
            let data = view.gather(stored, *dtype, count);
            arrays.insert(name.clone(), Array::new(name, *dtype, view.shape.clone(), data)?);
        }
        let unread = |(name, object): &(String, &crate::pickle::Opaque)| {
            (name.clone(), format!("an object of {}, whose code is not run here", object.name))
        };
        let unread = found.objects.iter().map(unread).collect();
        Ok(Dictionary { place: found.place.clone(), arrays, unread })
    }
}

/// Every storage that a pickle refers to.
pub(super) fn all_storages(pickle: &Pickle) -> Result<BTreeMap<&str, (DType, usize)>, Error> {
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

/// The most names that a number may have on average: one network here lists a shared block seven times.
const MOST_NAMES: usize = 16;

/// The bytes that arrays may take: a file could name one large tensor again and again, and each name is a copy.
struct Room {
    stored: usize,
    taken: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), Error> {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken > self.stored.saturating_mul(MOST_NAMES) {
            let (taken, stored) = (self.taken, self.stored);
            return Err(Error::Damaged(format!(
                "its tensors have {taken} bytes of {stored} stored"
            )));
        }
        Ok(())
    }
}
