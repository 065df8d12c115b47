//! The format since PyTorch 1.6: a zip archive with one folder that holds `data.pkl`, `byteorder` and `data/KEY`.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::state_dict::{self, Storages};
use crate::{Arrays, Error, pickle};

/// The largest pickle that is read, in bytes: names and shapes are small.
const LARGEST_PICKLE: u64 = 64 << 20;

pub(crate) fn parse(bytes: &[u8]) -> Result<Arrays, Error> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let names = archive.file_names().filter_map(Result::ok);
    let pickle_name = names.map(|name| name.to_string()).find(|name| name.ends_with("/data.pkl"));
    let Some(pickle_name) = pickle_name else {
        return Err(Error::Unsupported("it is a zip archive without a data.pkl".to_string()));
    };
    let folder = pickle_name.trim_end_matches("data.pkl").to_string();
    if let Some(order) = entry(&mut archive, &format!("{folder}byteorder"), 16)?
        && order.trim_ascii() != b"little"
    {
        return Err(Error::Unsupported("its numbers are not little-endian".to_string()));
    }
    let pickled = entry(&mut archive, &pickle_name, LARGEST_PICKLE)?;
    let pickled = pickled.ok_or_else(|| Error::Damaged("its data.pkl is missing".to_string()))?;
    let object = pickle::parse(&pickled)?;
    let mut storages = Storages::new();
    for (key, (dtype, count)) in state_dict::storages(&object)? {
        let missing = || Error::Damaged(format!("the storage {key} is missing"));
        let length = count.checked_mul(dtype.bytes()).ok_or_else(missing)?;
        // PyTorch does not compress, so a storage cannot be longer than the file.
        if length > bytes.len() {
            return Err(Error::Damaged(format!(
                "the storage {key} has {length} bytes, more than the file"
            )));
        }
        let name = format!("{folder}data/{key}");
        let data = entry(&mut archive, &name, length as u64)?.ok_or_else(missing)?;
        if data.len() != length {
            return Err(Error::Damaged(format!(
                "the storage {key} has {} bytes instead of {length}",
                data.len()
            )));
        }
        storages.insert(key, Cow::Owned(data));
    }
    state_dict::arrays(&object, &storages)
}

/// Returns the entry `name` of at most `most` bytes, if there is one.
fn entry(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    most: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let file = match archive.by_name(name) {
        Ok(file) => file,
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(damaged(error)),
    };
    let mut data = Vec::new();
    let read = file.take(most + 1).read_to_end(&mut data);
    read.map_err(|error| Error::Damaged(format!("{name}: {error}")))?;
    if data.len() as u64 > most {
        return Err(Error::Damaged(format!("{name} has more than the allowed {most} bytes")));
    }
    Ok(Some(data))
}

fn damaged(error: zip::result::ZipError) -> Error {
    Error::Damaged(error.to_string())
}
