//! The pickle machine: a stack, a memo, and a list of values that grows.

mod objects;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::{Id, Pickle, Value, opcodes as op};
use crate::Error;

/// Parses the pickle at the start of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Pickle, Error> {
    let mut machine = Machine {
        bytes,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        names: HashSet::new(),
    };
    let root = loop {
        if let Some(root) = machine.step()? {
            break root;
        }
    };
    let pickle = Pickle { values: machine.values, root, length: machine.at };
    pickle.check_acyclic()?;
    Ok(pickle)
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// The heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    /// The names of opaque values, each once.
    names: HashSet<Rc<str>>,
}

impl<'a> Machine<'a> {
    /// Executes one instruction. The last one returns the value that the pickle stands for.
    fn step(&mut self) -> Result<Option<Id>, Error> {
        let begins = self.at;
        let [opcode] = self.array()?;
        match opcode {
            op::PROTO => {
                let [version] = self.array()?;
                if version > 5 {
                    return Err(self.damaged(&format!("has protocol {version}, above 5")));
                }
            }
            op::FRAME => drop(self.array::<8>()?),
            op::STOP => return self.pop().map(Some),
            op::MARK => self.marks.push(self.stack.len()),
            op::POP => drop(self.pop()?),
            op::POP_MARK => drop(self.pop_to_mark()?),
            op::DUP => {
                let id = self.top()?;
                self.stack.push(id);
            }
            op::NONE => self.push(Value::None),
            op::NEWTRUE => self.push(Value::Bool(true)),
            op::NEWFALSE => self.push(Value::Bool(false)),
            op::BININT => {
                let number = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(number.into()));
            }
            op::BININT1 => {
                let [number] = self.array()?;
                self.push(Value::Int(number.into()));
            }
            op::BININT2 => {
                let number = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(number.into()));
            }
            op::LONG1 => {
                let [length] = self.array()?;
                self.long(length.into())?;
            }
            op::LONG4 => {
                let length = self.length4()?;
                self.long(length)?;
            }
            op::BINFLOAT => {
                self.array::<8>()?;
                self.push(Value::Float);
            }
            op::SHORT_BINUNICODE => {
                let [length] = self.array()?;
                self.text(length.into())?;
            }
            op::SHORT_BINSTRING => {
                let [length] = self.array()?;
                self.string(length.into())?;
            }
            op::BINUNICODE => {
                let length = self.length4()?;
                self.text(length)?;
            }
            op::BINSTRING => {
                let length = self.length4()?;
                self.string(length)?;
            }
            op::BINUNICODE8 => {
                let length = self.length8()?;
                self.text(length)?;
            }
            op::SHORT_BINBYTES => {
                let [length] = self.array()?;
                self.raw(length.into())?;
            }
            op::BINBYTES => {
                let length = self.length4()?;
                self.raw(length)?;
            }
            op::BINBYTES8 | op::BYTEARRAY8 => {
                let length = self.length8()?;
                self.raw(length)?;
            }
            op::EMPTY_TUPLE => self.push(Value::Tuple(Vec::new())),
            op::TUPLE => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => {
                let items = self.pop_last(usize::from(opcode - op::TUPLE1) + 1)?;
                self.push(Value::Tuple(items));
            }
            op::EMPTY_LIST | op::EMPTY_SET => self.push(Value::List(Vec::new())),
            op::APPEND => {
                let items = self.pop_last(1)?;
                self.append(items)?;
            }
            op::FROZENSET => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items));
            }
            op::APPENDS | op::ADDITEMS => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            op::EMPTY_DICT => self.push(Value::Dict(Vec::new())),
            op::SETITEM => {
                let items = self.pop_last(2)?;
                self.set_items(&items)?;
            }
            op::SETITEMS => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            op::GLOBAL => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name, begins);
            }
            op::STACK_GLOBAL => self.stack_global(begins)?,
            op::INST => {
                let (module, name) = (self.line()?, self.line()?);
                let parts = self.pop_to_mark()?;
                self.object(&format!("{module}.{name}"), begins, parts);
            }
            op::OBJ => {
                let parts = self.pop_to_mark()?;
                self.object_of(parts)?;
            }
            op::NEWOBJ => {
                let parts = self.pop_last(2)?;
                self.object_of(parts)?;
            }
            op::NEWOBJ_EX => {
                let parts = self.pop_last(3)?;
                self.object_of(parts)?;
            }
            op::REDUCE => self.reduce()?,
            op::BUILD => self.build()?,
            op::BINPERSID => self.storage()?,
            op::BINPUT => {
                let [place] = self.array()?;
                self.remember(place.into())?;
            }
            op::LONG_BINPUT => {
                let place = self.length4()?;
                self.remember(place)?;
            }
            op::MEMOIZE => self.remember(self.memo.len())?,
            op::BINGET => {
                let [place] = self.array()?;
                self.recall(place.into())?;
            }
            op::LONG_BINGET => {
                let place = self.length4()?;
                self.recall(place)?;
            }
            other => {
                return Err(Error::Damaged(format!(
                    "its pickle has the instruction {other:#04x} at byte {begins}, which nothing that is read here needs"
                )));
            }
        }
        Ok(None)
    }

    fn damaged(&self, problem: &str) -> Error {
        Error::Damaged(format!("its pickle {problem} (byte {})", self.at))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let rest = &self.bytes[self.at..];
        if length > rest.len() {
            return Err(self.damaged(&format!(
                "ends too soon: {length} more bytes are needed, {} are left",
                rest.len()
            )));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        Ok(self.take(N)?.try_into().expect("N bytes were taken"))
    }

    fn length4(&mut self) -> Result<usize, Error> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn length8(&mut self) -> Result<usize, Error> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| self.damaged("has a length above the address space"))
    }

    fn line(&mut self) -> Result<&'a str, Error> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(end.ok_or_else(|| self.damaged("has a line without an end"))?)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| self.damaged("has a name that is not UTF-8"))
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn top(&self) -> Result<Id, Error> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let id = self.stack.last().copied().filter(|_| self.stack.len() > floor);
        id.ok_or_else(|| self.damaged("takes more values than the stack holds"))
    }

    fn pop(&mut self) -> Result<Id, Error> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_last(&mut self, count: usize) -> Result<Vec<Id>, Error> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count).filter(|start| *start >= floor) {
            Some(start) => Ok(self.stack.split_off(start)),
            None => Err(self.damaged("takes more values than the stack holds")),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Error> {
        match self.marks.pop() {
            Some(start) => Ok(self.stack.split_off(start)),
            None => Err(self.damaged("lacks a mark that it refers to")),
        }
    }

    fn long(&mut self, length: usize) -> Result<(), Error> {
        let bytes = self.take(length)?;
        if length > 8 {
            self.push(Value::LongInt(bytes.to_vec()));
            return Ok(());
        }
        // Two's complement without its leading bytes.
        let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut all = [sign; 8];
        all[..length].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(all)));
        Ok(())
    }

    fn text(&mut self, length: usize) -> Result<(), Error> {
        let bytes = self.take(length)?;
        // Names of files that are no UTF-8 are half surrogates in Python.
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    /// Python 2's `str`, which is bytes where it is no text.
    fn string(&mut self, length: usize) -> Result<(), Error> {
        let begins = self.at;
        let text = std::str::from_utf8(self.take(length)?);
        let bytes = Value::Bytes(begins..self.at);
        self.push(text.map_or(bytes, |text| Value::Text(text.to_string())));
        Ok(())
    }

    fn raw(&mut self, length: usize) -> Result<(), Error> {
        let begins = self.at;
        self.take(length)?;
        self.push(Value::Bytes(begins..self.at));
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), Error> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(held) => held.extend(items),
            Value::Opaque(object) => object.parts.extend(items),
            other => {
                let kind = other.kind();
                return Err(self.damaged(&format!("appends to {kind}")));
            }
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), Error> {
        let dict = self.top()?;
        let pairs = items.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err(self.damaged("has a key without a value"));
        }
        match &mut self.values[dict] {
            Value::Dict(held) => held.extend(pairs.map(|pair| (pair[0], pair[1]))),
            Value::Opaque(object) => object.items.extend(pairs.map(|pair| (pair[0], pair[1]))),
            other => {
                let kind = other.kind();
                return Err(self.damaged(&format!("sets an item of {kind}")));
            }
        }
        Ok(())
    }

    fn remember(&mut self, place: usize) -> Result<(), Error> {
        let id = self.top()?;
        self.memo.insert(place, id);
        Ok(())
    }

    fn recall(&mut self, place: usize) -> Result<(), Error> {
        let id = self.memo.get(&place).copied();
        self.stack.push(
            id.ok_or_else(|| self.damaged("reads an entry of its memo that it never wrote"))?,
        );
        Ok(())
    }
}
