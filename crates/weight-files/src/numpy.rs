//! Pickled dictionaries of numpy's arrays, as Python 2 and 3 write them: data sets are handed out that way.
//!
//! To the pickle machine an array is an opaque object: a function of numpy, its arguments and its attributes. What these say
//! is looked up here, and still nothing is called.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::pickle::{self, Id, Opaque, Pickle, Value};
use crate::{Array, DType, Error};

/// The functions that stand for an array whose numbers are its attributes, and for one whose numbers are an argument.
const RECONSTRUCT: [&str; 2] =
    ["numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"];
const FROM_BUFFER: [&str; 2] =
    ["numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"];
/// The function by which Python 3 writes bytes for Python 2: Latin-1 of a text.
const ENCODE: &str = "_codecs.encode";
const DTYPE: &str = "numpy.dtype";
/// The most axes of an array.
const MOST_AXES: usize = 32;

/// A value of a pickled dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pickled {
    /// An array of numpy.
    Array(Array),
    /// A list of whole numbers.
    Integers(Vec<i64>),
    /// Anything else.
    Other,
}

/// The values of a pickled dictionary by their names, which are `str` or `bytes`.
///
/// # Errors
/// A damaged pickle, one of something else, or an array that is not in row-major order.
pub fn parse_pickled(bytes: &[u8]) -> Result<BTreeMap<String, Pickled>, Error> {
    let pickle = pickle::parse(bytes)?;
    let reader = Reader { bytes, pickle: &pickle };
    let Value::Dict(items) = pickle.root() else {
        return Err(Error::Unsupported("it is a pickle of something else than a dict".to_string()));
    };
    let mut values = BTreeMap::new();
    // A small file could refer to one array many times.
    let mut room = bytes.len();
    for &(key, value) in items {
        let Some(name) = reader.raw(key).and_then(|name| String::from_utf8(name.into()).ok())
        else {
            continue;
        };
        let value = reader.value(&name, value)?;
        if let Pickled::Array(array) = &value {
            room = room.checked_sub(array.data.len()).ok_or_else(|| {
                Error::Damaged("its arrays have more bytes than the file".to_string())
            })?;
        }
        values.insert(name, value);
    }
    Ok(values)
}

struct Reader<'a> {
    bytes: &'a [u8],
    pickle: &'a Pickle,
}

impl<'a> Reader<'a> {
    fn get(&self, id: Id) -> &'a Value {
        &self.pickle.values[id]
    }

    fn value(&self, name: &str, id: Id) -> Result<Pickled, Error> {
        match self.get(id) {
            Value::List(items) => {
                let integer = |&item: &Id| match self.get(item) {
                    Value::Int(number) => Some(*number),
                    _ => None,
                };
                let integers: Option<Vec<i64>> = items.iter().map(integer).collect();
                Ok(integers.map_or(Pickled::Other, Pickled::Integers))
            }
            Value::Opaque(object) if RECONSTRUCT.contains(&&*object.name) => {
                let problem = || damaged(name, "lacks its numbers");
                let Some(Value::Tuple(state)) = object.state.map(|state| self.get(state)) else {
                    return Err(problem());
                };
                let &[_, shape, dtype, by_columns, numbers] = &state[..] else {
                    return Err(problem());
                };
                let is_row_major = *self.get(by_columns) == Value::Bool(false);
                self.array(name, shape, dtype, is_row_major, numbers).map(Pickled::Array)
            }
            Value::Opaque(object) if FROM_BUFFER.contains(&&*object.name) => {
                let &[numbers, dtype, shape, order] = self.arguments(object) else {
                    return Err(damaged(name, "lacks its numbers"));
                };
                let is_row_major = self.pickle.text(order) == "C";
                self.array(name, shape, dtype, is_row_major, numbers).map(Pickled::Array)
            }
            _ => Ok(Pickled::Other),
        }
    }

    fn array(
        &self,
        name: &str,
        shape: Id,
        dtype: Id,
        is_row_major: bool,
        numbers: Id,
    ) -> Result<Array, Error> {
        let dtype = self.dtype(dtype).ok_or_else(|| {
            Error::Unsupported(format!("its array {name} has numbers of a type that is not read"))
        })?;
        let shape = self.shape(shape).ok_or_else(|| damaged(name, "has no shape"))?;
        let is_row_major = is_row_major || shape.iter().filter(|&&size| size != 1).count() < 2;
        if !is_row_major {
            let problem = format!("its array {name} is not in row-major order");
            return Err(Error::Unsupported(problem));
        }
        let numbers = self.raw(numbers).ok_or_else(|| damaged(name, "lacks its numbers"))?;
        Array::new(name, dtype, shape, numbers.into())
    }

    fn shape(&self, id: Id) -> Option<Vec<usize>> {
        let Value::Tuple(sizes) = self.get(id) else { return None };
        let size = |&size: &Id| match self.get(size) {
            Value::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        (sizes.len() <= MOST_AXES).then(|| sizes.iter().map(size).collect()).flatten()
    }

    /// A type of numbers, which lie with the lowest byte first.
    fn dtype(&self, id: Id) -> Option<DType> {
        let Value::Opaque(object) = self.get(id) else { return None };
        let (DTYPE, &[kind, ..]) = (&*object.name, self.arguments(object)) else { return None };
        let Value::Tuple(state) = self.get(object.state?) else { return None };
        let order = self.raw(*state.get(1)?)?;
        if !matches!(&*order, b"<" | b"|" | b"=") {
            return None;
        }
        Some(match &*self.raw(kind)? {
            b"f8" => DType::F64,
            b"f4" => DType::F32,
            b"f2" => DType::F16,
            b"i8" => DType::I64,
            b"i4" => DType::I32,
            b"i2" => DType::I16,
            b"i1" => DType::I8,
            b"u1" => DType::U8,
            b"b1" => DType::Bool,
            _ => return None,
        })
    }

    /// The arguments of a call that was not made.
    fn arguments(&self, object: &'a Opaque) -> &'a [Id] {
        match object.parts.first().map(|&parts| self.get(parts)) {
            Some(Value::Tuple(arguments)) => arguments,
            _ => &[],
        }
    }

    /// The bytes of `bytes`, of Python 2's `str`, or of a text that stands for them.
    fn raw(&self, id: Id) -> Option<Cow<'a, [u8]>> {
        match self.get(id) {
            Value::Bytes(place) => self.bytes.get(place.clone()).map(Cow::Borrowed),
            Value::Text(text) => Some(Cow::Borrowed(text.as_bytes())),
            Value::Opaque(object) if &*object.name == ENCODE => {
                let &[text, ..] = self.arguments(object) else { return None };
                let Value::Text(text) = self.get(text) else { return None };
                text.chars().map(|letter| u8::try_from(letter).ok()).collect::<Option<_>>()
            }
            _ => None,
        }
    }
}

fn damaged(name: &str, problem: &str) -> Error {
    Error::Damaged(format!("its array {name} {problem}"))
}
