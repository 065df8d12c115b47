//! Files of weights, read and written as maps of tensors.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Kind, Tensor};
use weight_files::{Array, Arrays, DType, Format, MOST_TENSORS};

use super::Error;
use super::contents::{Contents, Dictionary, Tensors};

/// Bytes of the longest header: safetensors' own limit.
const MOST_HEADER: u64 = 100_000_000;

/// The kinds of numbers in files of weights.
const KINDS: [(Dtype, Kind); 9] = [
    (Dtype::F32, Kind::Float),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::F16, Kind::Half),
    (Dtype::F64, Kind::Double),
    (Dtype::I64, Kind::Int64),
    (Dtype::I32, Kind::Int),
    (Dtype::I16, Kind::Int16),
    (Dtype::I8, Kind::Int8),
    (Dtype::U8, Kind::Uint8),
];

/// Reads one file, whatever lies beside it.
pub(super) fn read_one(path: &Path) -> Result<Contents, Error> {
    contents(path, &bytes_of(path)?)
}

/// The bytes of a file.
pub(super) fn bytes_of(path: &Path) -> Result<Vec<u8>, Error> {
    let path_of = || path.to_path_buf();
    regular_bytes(path).map_err(|source| Error::File { action: "read", path: path_of(), source })
}

/// The bytes of a regular file: a pipe would be waited for, and a device has no end.
fn regular_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_file() || kind.is_dir() {
        return std::fs::read(path);
    }
    let reason = "it is a device, a pipe or a socket, and no file";
    Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, reason))
}

fn kind(dtype: DType) -> Kind {
    match dtype {
        DType::F64 => Kind::Double,
        DType::F32 => Kind::Float,
        DType::F16 => Kind::Half,
        DType::BF16 => Kind::BFloat16,
        DType::I64 => Kind::Int64,
        DType::I32 => Kind::Int,
        DType::I16 => Kind::Int16,
        DType::I8 => Kind::Int8,
        DType::U8 => Kind::Uint8,
        DType::Bool => Kind::Bool,
    }
}

fn tensors(arrays: Arrays) -> Result<Tensors, Error> {
    let tensor = |array: Array| {
        let shape: Vec<i64> = array.shape.iter().map(|&size| size as i64).collect();
        Tensor::f_from_data_size(&array.data, &shape, kind(array.dtype))
    };
    arrays.into_iter().map(|(name, array)| Ok((name, tensor(array)?))).collect()
}

fn of_foreign(contents: weight_files::Contents) -> Result<Contents, Error> {
    let dictionary = |dictionary: weight_files::Dictionary| {
        let weight_files::Dictionary { place, arrays, unread } = dictionary;
        Ok(Dictionary { place, tensors: tensors(arrays)?, unread })
    };
    let weight_files::Contents { dictionaries, network } = contents;
    let dictionaries = dictionaries.into_iter().map(dictionary).collect::<Result<_, Error>>()?;
    Ok(Contents { dictionaries, network, ..Contents::default() })
}

/// As [`read`](super::read), of a file whose `bytes` are in memory; `path` is for messages.
///
/// # Errors
/// Bytes that are damaged or hold no weights.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<(Tensors, BTreeMap<String, String>), Error> {
    let mut contents = contents(path, bytes)?;
    let metadata = std::mem::take(&mut contents.metadata);
    Ok((contents.into_largest(), metadata))
}

fn contents(path: &Path, bytes: &[u8]) -> Result<Contents, Error> {
    if let Some(Format::Zip | Format::PytorchLegacy | Format::Hdf5) = Format::of(bytes) {
        let contents = weight_files::parse(bytes)
            .map_err(|problem| Error::Foreign { path: path.to_path_buf(), problem })?;
        return of_foreign(contents);
    }
    if Format::of(bytes).is_none() {
        return Err(Error::NotWeights { path: path.to_path_buf(), looks: looks_like(bytes) });
    }
    let format = |reason: String| Error::Format { path: path.to_path_buf(), reason };
    if let Some(missing) = missing(bytes) {
        return Err(format(format!(
            "it is cut off, {missing} bytes are missing at its end; get it again"
        )));
    }
    let (_, header) =
        SafeTensors::read_metadata(bytes).map_err(|error| format(error.to_string()))?;
    let count = header.tensors().len();
    if count > MOST_TENSORS {
        return Err(format(format!("it has {count} tensors, more than {MOST_TENSORS}")));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| format(error.to_string()))?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        let (_, kind) =
            *KINDS.iter().find(|(dtype, _)| *dtype == view.dtype()).ok_or_else(|| {
                format(format!("tensor {name} has the unsupported type {:?}", view.dtype()))
            })?;
        if name.chars().any(char::is_control) {
            return Err(format(format!("the name of a tensor has control characters: {name:?}")));
        }
        // The format allows any size beside a 0, and libtorch multiplies them all.
        let numbers = view.shape().iter().try_fold(1_i64, |numbers, &size| {
            numbers.checked_mul(i64::try_from(size).ok()?.max(1))
        });
        if numbers.is_none() {
            let shape = view.shape();
            return Err(format(format!(
                "tensor {name} has a shape that no memory holds: {shape:?}"
            )));
        }
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        tensors.insert(name.to_string(), Tensor::f_from_data_size(view.data(), &shape, kind)?);
    }
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Contents::new(tensors, metadata))
}

/// The likely format of a file that holds no weights, in words, for somebody who has downloaded it.
fn looks_like(bytes: &[u8]) -> String {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]);
    let line = start.lines().next().unwrap_or("").trim();
    if bytes.is_empty() {
        "it is empty".to_string()
    } else if line.starts_with("version https://git-lfs") {
        "it is a pointer of Git LFS, which stands for a file; `git lfs pull` brings that"
            .to_string()
    } else if line.to_lowercase().starts_with("<!doctype html") || line.starts_with("<html") {
        "it is a web page, which a site sends in place of a file that it does not have; get it again".to_string()
    } else if bytes.starts_with(b"\x1f\x8b") {
        "it is packed by gzip; unpack it".to_string()
    } else if matches!(bytes, [0x80, 2..=5, ..]) {
        "it is a pickle that torch.save did not write; load it in Python and write the state dict \
         with torch.save or safetensors"
            .to_string()
    } else {
        format!("it begins with {line:?}")
    }
}

/// Number of bytes that a safetensors file lacks by its own header; `None` for a whole one, or where the header does not
/// say.
fn missing(bytes: &[u8]) -> Option<u64> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let header_length = u64::from_le_bytes(*length);
    let end = match rest.get(..usize::try_from(header_length).ok()?) {
        None if header_length <= MOST_HEADER => header_length,
        None => return None,
        Some(header) => {
            let header: serde_json::Value = serde_json::from_slice(header).ok()?;
            let ends =
                header.as_object()?.values().filter_map(|entry| entry["data_offsets"][1].as_u64());
            header_length.checked_add(ends.max()?)?
        }
    };
    end.checked_add(8)?.checked_sub(bytes.len() as u64).filter(|missing| *missing > 0)
}

/// Writes `tensors` and `metadata` to `path` as safetensors, whole or not at all.
///
/// # Errors
/// A tensor of a kind that the format lacks, or a folder or file that cannot be written.
pub fn write(
    path: &Path,
    tensors: &Tensors,
    metadata: &BTreeMap<String, String>,
) -> Result<(), Error> {
    write_whole(path, &serialize(path, tensors, metadata)?).map_err(|source| Error::File {
        action: "write",
        path: path.to_path_buf(),
        source,
    })
}

/// The bytes that [`write()`] writes; `path` is for messages. Equal tensors and metadata give equal bytes.
///
/// # Errors
/// A tensor of a kind that the format lacks.
pub fn serialize(
    path: &Path,
    tensors: &Tensors,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, Error> {
    let mut parts = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let (dtype, _) =
            KINDS.iter().find(|(_, kind)| *kind == tensor.kind()).ok_or_else(|| Error::Format {
                path: path.to_path_buf(),
                reason: format!(
                    "tensor {name} is of kind {:?}, which the format lacks",
                    tensor.kind()
                ),
            })?;
        let tensor = tensor.contiguous();
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        parts.push((
            name,
            *dtype,
            tensor.size().iter().map(|&size| size as usize).collect(),
            bytes,
        ));
    }
    let views =
        parts.iter().map(|(name, dtype, shape, bytes): &(&String, Dtype, Vec<usize>, Vec<u8>)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
    let format = |error: safetensors::SafeTensorError| Error::Format {
        path: path.to_path_buf(),
        reason: error.to_string(),
    };
    let views = views.collect::<Result<Vec<_>, _>>().map_err(format)?;
    // "pt" is what PyTorch's own reader looks for.
    let mut header: HashMap<String, String> =
        metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    header.insert("format".to_string(), "pt".to_string());
    let mut bytes = safetensors::serialize(views, Some(header)).map_err(format)?;
    sort_header(&mut bytes);
    Ok(bytes)
}

/// The library writes metadata in the order of a hash map. Sorted, equal weights are equal bytes.
fn sort_header(bytes: &mut [u8]) {
    let Some((length, rest)) = bytes.split_first_chunk_mut::<8>() else { return };
    let Some(header) = rest.get_mut(..u64::from_le_bytes(*length) as usize) else { return };
    let sorted = serde_json::from_slice::<serde_json::Value>(header).map(|value| value.to_string());
    if let Some(sorted) = sorted.ok().filter(|sorted| sorted.len() <= header.len()) {
        // The format pads the header with spaces.
        header.fill(b' ');
        header[..sorted.len()].copy_from_slice(sorted.as_bytes());
    }
}

/// A new file in `folder`, readable for those whom the umask allows, as other files are.
fn open_beside(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let rights = std::fs::Permissions::from_mode(0o666);
        tempfile::Builder::new().permissions(rights).tempfile_in(folder)
    }
    #[cfg(not(unix))]
    tempfile::NamedTempFile::new_in(folder)
}

/// Writes `bytes` to `path`, whole or not at all: beside it, under a name that nobody can guess, which is synced, renamed, and
/// its folder synced. After a crash the old file or the new one is there. What is there and is no regular file, such as a
/// device or a pipe, is written to as it is, also through a link; a link to a file or to nothing is replaced.
///
/// Windows has no way to sync a folder; there the rename alone has to do.
///
/// # Errors
/// The system's.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_whole_from(path, &mut &*bytes)
}

/// [`write_whole`] of all that `content` has, for content that is larger than memory should hold.
///
/// # Errors
/// The system's, of reading and of writing.
pub fn write_whole_from(path: &Path, content: &mut dyn std::io::Read) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let kind = std::fs::metadata(path).map(|metadata| metadata.file_type());
    if kind.is_ok_and(|kind| !(kind.is_file() || kind.is_dir())) {
        let mut there = std::fs::OpenOptions::new().write(true).open(path)?;
        return std::io::copy(content, &mut there).map(drop);
    }
    let mut file = open_beside(folder)?;
    std::io::copy(content, &mut file)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}
