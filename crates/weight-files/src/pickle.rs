//! The part of pickle that PyTorch's weights and numpy's arrays need: a machine that builds values and executes nothing.
//!
//! Python's own reader calls every function that the file names. This one knows the few names that tensors consist of.
//! All others, and whatever Python would build with them, are opaque values that only hold their parts. Values lie in one
//! list and refer to one another by number, so a small file stays small in memory, however often it repeats a value.

mod machine;
mod opcodes;

use std::ops::Range;
use std::rc::Rc;

use crate::{DType, Error};

pub(crate) use self::machine::parse;

/// The place of a value in [`Pickle::values`].
pub(crate) type Id = usize;

/// A class or function that a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor`
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensorV2,
    /// `torch._utils._rebuild_parameter`, with or without attributes of its own
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2`: another function, a type, the arguments, and attributes of its own
    RebuildFromType,
    /// `torch.FloatStorage` and the other storages.
    Storage(DType),
}

/// The known names. None of them stands for a call that can do harm.
const KNOWN: [(&str, &str, Global); 16] = [
    ("collections", "OrderedDict", Global::OrderedDict),
    ("torch._utils", "_rebuild_tensor", Global::RebuildTensor),
    ("torch._utils", "_rebuild_tensor_v2", Global::RebuildTensorV2),
    ("torch._utils", "_rebuild_parameter", Global::RebuildParameter),
    ("torch._utils", "_rebuild_parameter_with_state", Global::RebuildParameter),
    ("torch._tensor", "_rebuild_from_type_v2", Global::RebuildFromType),
    ("torch", "DoubleStorage", Global::Storage(DType::F64)),
    ("torch", "FloatStorage", Global::Storage(DType::F32)),
    ("torch", "HalfStorage", Global::Storage(DType::F16)),
    ("torch", "BFloat16Storage", Global::Storage(DType::BF16)),
    ("torch", "LongStorage", Global::Storage(DType::I64)),
    ("torch", "IntStorage", Global::Storage(DType::I32)),
    ("torch", "ShortStorage", Global::Storage(DType::I16)),
    ("torch", "CharStorage", Global::Storage(DType::I8)),
    ("torch", "ByteStorage", Global::Storage(DType::U8)),
    ("torch", "BoolStorage", Global::Storage(DType::Bool)),
];

impl Global {
    fn known(module: &str, name: &str) -> Option<Self> {
        KNOWN.iter().find(|known| (known.0, known.1) == (module, name)).map(|known| known.2)
    }
}

/// A class or function that tensors do not need, or an object that Python would build with it. Nothing is called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Opaque {
    /// Module and name of the class or function.
    pub(crate) name: Rc<str>,
    /// The byte of the pickle at which it is named.
    pub(crate) at: usize,
    /// The values that it is given: the arguments of the call, and items of a list.
    pub(crate) parts: Vec<Id>,
    /// The items that it is given as a dict.
    pub(crate) items: Vec<(Id, Id)>,
    /// The attributes that it is given.
    pub(crate) state: Option<Id>,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// A number of up to 64 bits.
    Int(i64),
    /// The little-endian bytes of a longer number; only the magic number of PyTorch's old format is one.
    LongInt(Vec<u8>),
    /// A float, whose value no weights need.
    Float,
    /// `str`, or Python 2's in UTF-8.
    Text(String),
    /// `bytes`, by their place in the pickle.
    Bytes(Range<usize>),
    /// `tuple`
    Tuple(Vec<Id>),
    /// `list`
    List(Vec<Id>),
    /// `dict` or `OrderedDict`
    Dict(Vec<(Id, Id)>),
    /// A known class or function.
    Global(Global),
    /// Another class or function, or an object of it.
    Opaque(Opaque),
    /// Numbers that lie elsewhere in the file.
    Storage {
        /// Their key there, a text.
        key: Id,
        /// Their type.
        dtype: DType,
        /// Their count.
        count: usize,
    },
    /// A view of a storage.
    Tensor {
        /// Its storage.
        storage: Id,
        /// The numbers of the storage that it shows.
        view: crate::array::Strided,
    },
}

impl Value {
    /// The kind of value, for messages.
    fn kind(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool(_) => "a bool",
            Value::Int(_) | Value::LongInt(_) => "an int",
            Value::Float => "a float",
            Value::Text(_) => "a str",
            Value::Bytes(_) => "bytes",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Dict(_) => "a dict",
            Value::Global(_) => "a class or function",
            Value::Opaque(_) => "an object",
            Value::Storage { .. } => "a storage",
            Value::Tensor { .. } => "a tensor",
        }
    }
}

/// The values of a pickle.
#[derive(Debug)]
pub(crate) struct Pickle {
    pub(crate) values: Vec<Value>,
    /// The value that the pickle stands for.
    pub(crate) root: Id,
    /// The length of the pickle in bytes.
    pub(crate) length: usize,
}

impl Pickle {
    pub(crate) fn root(&self) -> &Value {
        &self.values[self.root]
    }

    /// The value of a string key of a dict; of equal keys the last one counts, as in Python.
    pub(crate) fn get(&self, dict: &[(Id, Id)], key: &str) -> Option<&Value> {
        let is_key = |id: Id| matches!(&self.values[id], Value::Text(text) if text == key);
        dict.iter().rev().find(|(id, _)| is_key(*id)).map(|(_, value)| &self.values[*value])
    }

    /// The text `id`, or nothing where the value is another. The key of a storage is always a text.
    pub(crate) fn text(&self, id: Id) -> &str {
        match &self.values[id] {
            Value::Text(text) => text,
            _ => "",
        }
    }

    /// Refuses values that contain themselves: no weights do. Objects may, and the walk ends at them.
    fn check_acyclic(&self) -> Result<(), Error> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            Not,
            Open,
            Closed,
        }
        let mut seen = vec![Seen::Not; self.values.len()];
        let mut open = vec![(self.root, false)];
        while let Some((id, is_left)) = open.pop() {
            if is_left {
                seen[id] = Seen::Closed;
                continue;
            }
            match seen[id] {
                Seen::Closed => continue,
                Seen::Open => {
                    let kind = self.values[id].kind();
                    return Err(Error::Damaged(format!("{kind} in its pickle contains itself")));
                }
                Seen::Not => seen[id] = Seen::Open,
            }
            open.push((id, true));
            match &self.values[id] {
                Value::Tuple(items) | Value::List(items) => {
                    open.extend(items.iter().map(|&item| (item, false)));
                }
                Value::Dict(items) => {
                    open.extend(
                        items.iter().flat_map(|&(key, item)| [(key, false), (item, false)]),
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
