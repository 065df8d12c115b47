//! Keras's weights, in HDF5 by a reader written in Rust: `.h5` of Keras 1 and 2, and `.weights.h5` of Keras 3.
//!
//! The old form has a group for each layer and says in attributes which layers there are and in which order their
//! variables come; the new one has groups `…/LAYER/vars` with variables called `0`, `1`, …. Both become `LAYER/0`,
//! `LAYER/1`, …: what a variable is follows from its layer.

use std::panic;
use std::sync::{Arc, Mutex, PoisonError};

use hdf5_reader::error::Error as Hdf5Error;
use hdf5_reader::group::Group;
use hdf5_reader::storage::DynStorage;
use hdf5_reader::{
    ByteOrder, Dataset, Datatype, ExternalFileResolver, ExternalLinkResolver, Hdf5File, OpenOptions,
};

use crate::{Array, Arrays, DType, Error};

/// Groups within groups, at most: weights have four.
const DEEPEST: usize = 16;
/// Groups and variables, at most: a file may link to one again and again.
const MOST_MEMBERS: usize = 100_000;

/// Reads a file whole. The reader is young, and fuzzing finds sizes that overflow in it: where it panics, the file is
/// damaged.
pub(crate) fn parse(bytes: &[u8]) -> Result<Arrays, Error> {
    // Nothing that the closure leaves behind is looked at again.
    let read = panic::catch_unwind(panic::AssertUnwindSafe(|| read(bytes)));
    read.unwrap_or_else(|_| {
        Err(Error::Damaged("the HDF5 reader could make nothing of it".to_string()))
    })
}

fn read(bytes: &[u8]) -> Result<Arrays, Error> {
    let outside = Arc::new(Outside::default());
    let options = OpenOptions::default()
        .with_external_link_resolver(outside.clone())
        .with_external_file_resolver(outside.clone())
        .with_max_chunk_bytes(bytes.len().max(1 << 20))
        .with_max_read_bytes(bytes.len().saturating_mul(MOST_UNPACKED));
    let read = Hdf5File::from_bytes_with_options(bytes, options)
        .and_then(|file| file.root_group())
        .map_err(damaged)
        .and_then(|root| Reader { left: MOST_MEMBERS, bytes: 0, most: bytes.len() }.read(&root));
    // Whatever else went wrong because of it.
    if let Some(name) = outside.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(Error::Outside(name));
    }
    let arrays = read?;
    if arrays.is_empty() {
        return Err(Error::Unsupported("it is HDF5 without weights in it".to_string()));
    }
    Ok(arrays)
}

/// Numbers may be packed; trained ones hardly are.
const MOST_UNPACKED: usize = 16;

/// The name of a file that was asked for.
#[derive(Default)]
struct Outside(Mutex<Option<String>>);

impl Outside {
    fn refuse(&self, name: &str) -> Hdf5Error {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_string());
        Hdf5Error::InvalidData(format!("another file is asked for: {name}"))
    }
}

impl ExternalLinkResolver for Outside {
    fn resolve_external_link(&self, name: &str) -> Result<Option<Hdf5File>, Hdf5Error> {
        Err(self.refuse(name))
    }
}

impl ExternalFileResolver for Outside {
    fn resolve_external_file(&self, name: &str) -> Result<Option<DynStorage>, Hdf5Error> {
        Err(self.refuse(name))
    }
}

struct Reader {
    /// Groups and variables that may still be looked at.
    left: usize,
    /// Bytes of numbers so far.
    bytes: usize,
    /// Bytes of the file.
    most: usize,
}

impl Reader {
    fn read(mut self, root: &Group) -> Result<Arrays, Error> {
        let mut arrays = Arrays::new();
        let whole = root.group("model_weights");
        let weights = whole.as_ref().unwrap_or(root);
        match weights.attribute("layer_names") {
            Ok(layers) => {
                for layer in layers.read_strings().map_err(damaged)? {
                    self.old_layer(&weights.group(&layer).map_err(damaged)?, &layer, &mut arrays)?;
                }
            }
            Err(_) => self.new_groups(root, "", 0, &mut arrays)?,
        }
        Ok(arrays)
    }

    /// A layer of the old form: its variables in the order of `weight_names`.
    fn old_layer(&mut self, group: &Group, layer: &str, arrays: &mut Arrays) -> Result<(), Error> {
        let Ok(names) = group.attribute("weight_names") else { return Ok(()) };
        // A layer without variables has an empty list, and of what type an empty list is depends on its writer.
        if names.num_elements().map_err(damaged)? == 0 {
            return Ok(());
        }
        for (number, name) in names.read_strings().map_err(damaged)?.iter().enumerate() {
            let (path, leaf) = name.rsplit_once('/').unwrap_or(("", name));
            let mut holder = None;
            for part in path.split('/').filter(|part| !part.is_empty()) {
                let inner = holder.as_ref().unwrap_or(group).group(part).map_err(damaged)?;
                holder = Some(inner);
            }
            let dataset = holder.as_ref().unwrap_or(group).dataset(leaf).map_err(damaged)?;
            self.variable(&dataset, format!("{layer}/{number}"), arrays)?;
        }
        Ok(())
    }

    /// Groups of the new form: those called `vars` hold the variables of the group they are in.
    fn new_groups(
        &mut self,
        group: &Group,
        name: &str,
        depth: usize,
        arrays: &mut Arrays,
    ) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(Error::Damaged(format!("it has groups within groups, {DEEPEST} deep")));
        }
        let (groups, datasets) = group.members().map_err(damaged)?;
        for inner in &groups {
            self.count(1)?;
            match inner.name() {
                "vars" => self.new_groups(inner, name, depth + 1, arrays)?,
                own => self.new_groups(inner, own, depth + 1, arrays)?,
            }
        }
        if group.name() == "vars" {
            for dataset in &datasets {
                self.variable(dataset, format!("{name}/{}", dataset.name()), arrays)?;
            }
        }
        Ok(())
    }

    fn variable(
        &mut self,
        dataset: &Dataset,
        name: String,
        arrays: &mut Arrays,
    ) -> Result<(), Error> {
        self.count(1)?;
        let dtype = dtype(dataset.dtype(), &name)?;
        let size = |&size: &u64| {
            usize::try_from(size).map_err(|_| Error::Damaged(format!("{name} is of size {size}")))
        };
        let shape = dataset.shape().iter().map(size).collect::<Result<Vec<_>, _>>()?;
        let bytes = dataset.raw_byte_len().map_err(damaged)?;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.most.saturating_mul(MOST_UNPACKED) {
            return Err(Error::Damaged(format!(
                "{name} brings its numbers to {} bytes, in a file of {}",
                self.bytes, self.most
            )));
        }
        let data = dataset.read_raw_bytes().map_err(damaged)?;
        let array = Array::new(&name, dtype, shape, data)?;
        match arrays.insert(name, array) {
            None => Ok(()),
            Some(_) => Err(Error::Damaged("a variable is there twice".to_string())),
        }
    }

    fn count(&mut self, members: usize) -> Result<(), Error> {
        self.left = self.left.checked_sub(members).ok_or_else(|| {
            Error::Damaged(format!("it has more than {MOST_MEMBERS} groups and variables"))
        })?;
        Ok(())
    }
}

fn dtype(datatype: &Datatype, name: &str) -> Result<DType, Error> {
    let known = match datatype {
        Datatype::FloatingPoint { size, byte_order: ByteOrder::LittleEndian } => match size {
            2 => Some(DType::F16),
            4 => Some(DType::F32),
            8 => Some(DType::F64),
            _ => None,
        },
        Datatype::FixedPoint {
            size, byte_order: ByteOrder::LittleEndian, signed: true, ..
        } => match size {
            4 => Some(DType::I32),
            8 => Some(DType::I64),
            _ => None,
        },
        _ => None,
    };
    known.ok_or_else(|| Error::Unsupported(format!("{name} is of the type {datatype:?}")))
}

fn damaged(error: Hdf5Error) -> Error {
    Error::Damaged(error.to_string())
}
