//! Keras's weights: HDF5, `.h5` of Keras 1 and 2 and `.weights.h5` of Keras 3.
//!
//! The old form has a group for each layer, and attributes list the layers and the order of their variables. The new
//! form has groups `layers/LAYER/vars` with variables called `0`, `1`, and so on. Both become `LAYER/0`, `LAYER/1`, …: the
//! layer decides what a variable is. Layers of a model in the model are called `MODEL/LAYER`.

use std::collections::BTreeMap;
use std::panic;
use std::sync::{Arc, Mutex, PoisonError};

use hdf5_reader::error::Error as Hdf5Error;
use hdf5_reader::group::Group;
use hdf5_reader::storage::DynStorage;
use hdf5_reader::{
    Attribute, ByteOrder, Dataset, Datatype, ExternalFileResolver, ExternalLinkResolver, Hdf5File,
    OpenOptions,
};

use crate::{Array, Contents, DType, Dictionary, Error, KerasLayer};

/// The deepest nesting of groups: weights have four.
const DEEPEST: usize = 16;
/// The most groups and variables: a file may link to one again and again.
const MOST_MEMBERS: usize = 100_000;

/// Groups that hold layers, or variables of a layer; they are no part of a name.
const HOLDERS: [&str; 3] = ["layers", "_layer_checkpoint_dependencies", "vars"];
/// Groups of a whole file that hold no weights of the network.
const NO_WEIGHTS: [&str; 4] = ["optimizer", "optimizer_weights", "metrics", "seed_generators"];

/// The content of a whole file.
///
/// The HDF5 reader is young, and fuzzing finds sizes that overflow in it. A panic of it means a damaged file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Contents, Error> {
    // The closure leaves nothing that is used afterwards.
    let read = panic::catch_unwind(panic::AssertUnwindSafe(|| read(bytes)));
    read.unwrap_or_else(|_| {
        Err(Error::Damaged("the HDF5 reader cannot make sense of it".to_string()))
    })
}

fn read(bytes: &[u8]) -> Result<Contents, Error> {
    let outside = Arc::new(Outside::default());
    let options = OpenOptions::default()
        .with_external_link_resolver(outside.clone())
        .with_external_file_resolver(outside.clone())
        .with_max_chunk_bytes(bytes.len().max(1 << 20))
        .with_max_read_bytes(bytes.len().saturating_mul(MOST_UNPACKED));
    let read = Hdf5File::from_bytes_with_options(bytes, options)
        .and_then(|file| file.root_group())
        .map_err(damaged)
        .and_then(|root| Reader::new(bytes.len(), network(&root)).read(&root));
    // This is the cause of any other error.
    if let Some(name) = outside.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(Error::Outside(name));
    }
    let contents = read?;
    if contents.dictionaries.iter().all(|dictionary| dictionary.arrays.is_empty()) {
        return Err(Error::Unsupported("it is HDF5 without weights".to_string()));
    }
    Ok(contents)
}

/// The network that a whole model of the old form describes.
fn network(root: &Group) -> Option<KerasLayer> {
    let attribute = root.attribute("model_config").ok()?;
    KerasLayer::parse(attribute.read_strings().ok()?.first()?.as_bytes()).ok()
}

/// The most bytes of numbers for each byte of the file: numbers may be compressed, but trained ones hardly shrink.
const MOST_UNPACKED: usize = 16;

/// The name of another file that was referred to, if any. None is opened.
#[derive(Default)]
struct Outside(Mutex<Option<String>>);

impl Outside {
    fn refuse(&self, name: &str) -> Hdf5Error {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_string());
        Hdf5Error::InvalidData(format!("it refers to another file: {name}"))
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
    /// Groups and variables that may still be read.
    left: usize,
    /// Bytes of numbers that were read.
    bytes: usize,
    /// Bytes of the file.
    most: usize,
    network: Option<KerasLayer>,
    dictionary: Dictionary,
}

impl Reader {
    fn new(most: usize, network: Option<KerasLayer>) -> Self {
        Self { left: MOST_MEMBERS, bytes: 0, most, network, dictionary: Dictionary::default() }
    }

    fn read(mut self, root: &Group) -> Result<Contents, Error> {
        let whole = root.group("model_weights");
        let weights = whole.as_ref().unwrap_or(root);
        match list(weights, "layer_names")? {
            Some(layers) => {
                for layer in layers {
                    self.old_layer(&weights.group(&layer).map_err(damaged)?, &layer)?;
                }
            }
            None => self.new_groups(root, "", 0)?,
        }
        Ok(Contents { dictionaries: vec![self.dictionary], network: self.network })
    }

    /// A layer of the old form: its variables in the order of `weight_names`. A model in the model has those of its layers.
    fn old_layer(&mut self, group: &Group, layer: &str) -> Result<(), Error> {
        let names = list(group, "weight_names")?.unwrap_or_default();
        let Some(first) = names.first() else { return Ok(()) };
        let of = |name: &str| name.rsplit_once('/').map_or("", |(path, _)| path).to_string();
        let is_model = names.iter().any(|name| of(name) != of(first))
            || self.network.as_ref().is_some_and(|network| network.has_model(layer));
        let mut counts = BTreeMap::<String, usize>::new();
        for name in &names {
            let (path, leaf) = name.rsplit_once('/').unwrap_or(("", name));
            let mut holder = None;
            for part in path.split('/').filter(|part| !part.is_empty()) {
                let inner = holder.as_ref().unwrap_or(group).group(part).map_err(damaged)?;
                holder = Some(inner);
            }
            let dataset = holder.as_ref().unwrap_or(group).dataset(leaf).map_err(damaged)?;
            let inner = path.strip_prefix(layer).and_then(|rest| rest.strip_prefix('/'));
            let owner = match (is_model, inner.unwrap_or(path)) {
                (true, inner) if !inner.is_empty() => format!("{layer}/{inner}"),
                _ => layer.to_string(),
            };
            let number = counts.entry(owner.clone()).or_default();
            let name = format!("{owner}/{number}");
            *number += 1;
            self.variable(&dataset, name)?;
        }
        Ok(())
    }

    /// Groups of the new form: a group called `vars` holds the variables of the group around it.
    fn new_groups(&mut self, group: &Group, name: &str, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(Error::Damaged(format!("its groups are nested more than {DEEPEST} deep")));
        }
        let (groups, datasets) = group.members().map_err(damaged)?;
        for inner in &groups {
            self.count(1)?;
            match inner.name() {
                own if depth == 0 && NO_WEIGHTS.contains(&own) => {}
                own if HOLDERS.contains(&own) => self.new_groups(inner, name, depth + 1)?,
                own if name.is_empty() => self.new_groups(inner, own, depth + 1)?,
                own => self.new_groups(inner, &format!("{name}/{own}"), depth + 1)?,
            }
        }
        if group.name() == "vars" {
            for dataset in &datasets {
                self.variable(dataset, format!("{name}/{}", dataset.name()))?;
            }
        }
        Ok(())
    }

    fn variable(&mut self, dataset: &Dataset, name: String) -> Result<(), Error> {
        self.count(1)?;
        let Some(dtype) = dtype(dataset.dtype()) else {
            let reason = format!("numbers of the type {:?}", dataset.dtype());
            self.dictionary.unread.insert(name, reason);
            return Ok(());
        };
        let size = |&size: &u64| {
            usize::try_from(size)
                .map_err(|_| Error::Damaged(format!("{name} has an axis of size {size}")))
        };
        let shape = dataset.shape().iter().map(size).collect::<Result<Vec<_>, _>>()?;
        let bytes = dataset.raw_byte_len().map_err(damaged)?;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.most.saturating_mul(MOST_UNPACKED) {
            return Err(Error::Damaged(format!(
                "its numbers up to {name} take {} bytes, in a file of {} bytes",
                self.bytes, self.most
            )));
        }
        let data = dataset.read_raw_bytes().map_err(damaged)?;
        let array = Array::new(&name, dtype, shape, data)?;
        match self.dictionary.arrays.insert(name, array) {
            None => Ok(()),
            Some(_) => Err(Error::Damaged("it has a variable twice".to_string())),
        }
    }

    fn count(&mut self, members: usize) -> Result<(), Error> {
        self.left = self.left.checked_sub(members).ok_or_else(|| {
            Error::Damaged(format!("it has more than {MOST_MEMBERS} groups and variables"))
        })?;
        Ok(())
    }
}

/// The attribute `name`, or its parts `name0`, `name1`, …, into which Keras splits what HDF5 cannot hold in one.
fn list(group: &Group, name: &str) -> Result<Option<Vec<String>>, Error> {
    if let Ok(whole) = group.attribute(name) {
        return strings(&whole).map(Some);
    }
    let parts = (0..MOST_MEMBERS).map_while(|part| group.attribute(&format!("{name}{part}")).ok());
    let mut all = None;
    for part in parts {
        all.get_or_insert_with(Vec::new).extend(strings(&part)?);
    }
    Ok(all)
}

fn strings(attribute: &Attribute) -> Result<Vec<String>, Error> {
    // A layer without variables has an empty list, whose type depends on its writer.
    if attribute.num_elements().map_err(damaged)? == 0 {
        return Ok(Vec::new());
    }
    attribute.read_strings().map_err(damaged)
}

fn dtype(datatype: &Datatype) -> Option<DType> {
    match datatype {
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
    }
}

fn damaged(error: Hdf5Error) -> Error {
    Error::Damaged(error.to_string())
}
