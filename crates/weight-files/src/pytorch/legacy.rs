//! The format before PyTorch 1.6: five pickles (a magic number, a version, the machine, the object, the keys of its
//! storages), then for each key a count and the numbers.

use std::borrow::Cow;

use super::state_dict::{StateDicts, Storages, all_storages};
use crate::pickle::{self, Pickle, Value};
use crate::{Contents, Error};

const VERSION: i64 = 1001;

pub(crate) fn parse(bytes: &[u8]) -> Result<Contents, Error> {
    let mut at = 0;
    let mut next = || -> Result<Pickle, Error> {
        let pickle = pickle::parse(&bytes[at..])?;
        at += pickle.length;
        Ok(pickle)
    };
    let (_magic, version, machine) = (next()?, next()?, next()?);
    if *version.root() != Value::Int(VERSION) {
        return Err(Error::Unsupported(format!("its version is not {VERSION}")));
    }
    if let Value::Dict(machine_dict) = machine.root()
        && machine.get(machine_dict, "little_endian") == Some(&Value::Bool(false))
    {
        return Err(Error::Unsupported("its numbers are big-endian".to_string()));
    }
    let (object, keys) = (next()?, next()?);
    let asked = all_storages(&object)?;
    let Value::List(keys_list) = keys.root() else {
        return Err(Error::Damaged("it has no list of storages".to_string()));
    };
    let mut rest = &bytes[at..];
    let mut storages = Storages::new();
    for &key in keys_list {
        let key = keys.text(key);
        let Some((&name, &(dtype, count))) = asked.get_key_value(key) else {
            return Err(Error::Damaged(format!("no tensor uses the storage {key:?}")));
        };
        let ends = || Error::Damaged(format!("it ends within the storage {key}"));
        let (length, numbers) = rest.split_at_checked(8).ok_or_else(ends)?;
        let length = u64::from_le_bytes(length.try_into().expect("8 bytes"));
        if length != count as u64 {
            return Err(Error::Damaged(format!(
                "the storage {key} has {length} numbers instead of {count}"
            )));
        }
        let length = count.checked_mul(dtype.bytes()).ok_or_else(ends)?;
        let (numbers, after) = numbers.split_at_checked(length).ok_or_else(ends)?;
        storages.insert(name, Cow::Borrowed(numbers));
        rest = after;
    }
    if let Some((key, _)) = asked.iter().find(|(key, _)| !storages.contains_key(*key)) {
        return Err(Error::Damaged(format!("the storage {key} is missing")));
    }
    StateDicts::find(&object)?.read(&storages)
}
