//! The format since PyTorch 1.6: a zip archive with one folder that holds `data.pkl`, `byteorder` and `data/KEY`.

use std::borrow::Cow;

use super::state_dict::{StateDicts, Storages};
use crate::zip_archive::{Archive, entry};
use crate::{Contents, Error, pickle};

/// The largest pickle that is read, in bytes: names and shapes are small.
const LARGEST_PICKLE: u64 = 64 << 20;

/// The name of the pickle, after its folder.
pub(crate) const PICKLE: &str = "/data.pkl";

/// The content of an archive of `length` bytes whose pickle is called `pickle_name`.
pub(crate) fn parse(
    archive: &mut Archive,
    pickle_name: &str,
    length: usize,
) -> Result<Contents, Error> {
    let folder = pickle_name.trim_end_matches("data.pkl");
    if let Some(order) = entry(archive, &format!("{folder}byteorder"), 16)?
        && order.trim_ascii() != b"little"
    {
        return Err(Error::Unsupported("its numbers are not little-endian".to_string()));
    }
    let size = archive.by_name(pickle_name).map_or(0, |file| file.size());
    if size > LARGEST_PICKLE {
        return Err(Error::Unsupported(format!(
            "its data.pkl has {size} bytes, more than names and shapes take: it may hold arrays of NumPy; save the tensors alone: torch.save(model.state_dict(), …)"
        )));
    }
    let pickled = entry(archive, pickle_name, LARGEST_PICKLE)?;
    let pickled = pickled.ok_or_else(|| Error::Damaged("its data.pkl is missing".to_string()))?;
    let object = pickle::parse(&pickled)?;
    let state_dicts = StateDicts::find(&object)?;
    let mut storages = Storages::new();
    for (key, (dtype, count)) in state_dicts.storages()? {
        let missing = || Error::Damaged(format!("the storage {key} is missing"));
        let bytes = count.checked_mul(dtype.bytes()).ok_or_else(missing)?;
        // PyTorch does not compress, so a storage cannot be longer than the file.
        if bytes > length {
            return Err(Error::Damaged(format!(
                "the storage {key} has {bytes} bytes, more than the file"
            )));
        }
        let data = entry(archive, &format!("{folder}data/{key}"), bytes as u64)?;
        let data = data.ok_or_else(missing)?;
        if data.len() != bytes {
            return Err(Error::Damaged(format!(
                "the storage {key} has {} bytes instead of {bytes}",
                data.len()
            )));
        }
        storages.insert(key, Cow::Owned(data));
    }
    state_dicts.read(&storages)
}
