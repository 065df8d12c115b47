//! The instructions that build objects: dicts, storages and tensors, from the known names alone. All others are opaque.

use std::rc::Rc;

use super::Machine;
use crate::Error;
use crate::array::Strided;
use crate::pickle::{Global, Id, Opaque, Value};

/// PyTorch's own limit of a tensor's axes.
const MOST_AXES: usize = 64;

/// The most arguments of a function that is known here: they have up to 7.
const MOST_ARGUMENTS: usize = 16;

/// The longest name of a class or function that is kept, in bytes.
const LONGEST_NAME: usize = 200;

impl Machine<'_> {
    /// Pushes a class or function.
    pub(super) fn global(&mut self, module: &str, name: &str, at: usize) {
        match Global::known(module, name) {
            Some(known) => self.push(Value::Global(known)),
            None => self.object(&format!("{module}.{name}"), at, Vec::new()),
        }
    }

    /// Pushes a class or function whose module and name are on the stack.
    pub(super) fn stack_global(&mut self, at: usize) -> Result<(), Error> {
        let [module, name] = self.pop_last(2)?[..] else { unreachable!("two values") };
        let (Value::Text(module), Value::Text(name)) = (&self.values[module], &self.values[name])
        else {
            return Err(self.damaged("has a name that is not text"));
        };
        match Global::known(module, name) {
            Some(known) => self.push(Value::Global(known)),
            None => {
                // The names may be long and referred to often, so they are cut before they are joined.
                let name = format!("{}.{}", cut(module), cut(name));
                self.object(&name, at, Vec::new());
            }
        }
        Ok(())
    }

    /// Pushes an object of the class `name` with `parts`.
    pub(super) fn object(&mut self, name: &str, at: usize, parts: Vec<Id>) {
        let name = cut(name);
        let name = match self.names.get(name) {
            Some(known) => known.clone(),
            None => {
                let name: Rc<str> = name.into();
                self.names.insert(name.clone());
                name
            }
        };
        self.push(Value::Opaque(Opaque { name, at, parts, items: Vec::new(), state: None }));
    }

    /// Pushes an object of the class that is the first of `values`; the others are its parts.
    pub(super) fn object_of(&mut self, mut values: Vec<Id>) -> Result<(), Error> {
        if values.is_empty() {
            return Err(self.damaged("makes an object of no class"));
        }
        let class = values.remove(0);
        match &self.values[class] {
            Value::Global(Global::OrderedDict) => self.push(Value::Dict(Vec::new())),
            Value::Global(_) => self.object("torch", self.at, values),
            Value::Opaque(class) => {
                let (name, at) = (class.name.clone(), class.at);
                self.object(&name, at, values);
            }
            other => return Err(self.damaged(&format!("makes an object of {}", other.kind()))),
        }
        Ok(())
    }

    /// Builds what a known function would return. Python would call it. The result of any other is opaque.
    pub(super) fn reduce(&mut self) -> Result<(), Error> {
        let [callable, arguments] = self.pop_last(2)?[..] else { unreachable!("two values") };
        match (&self.values[callable], &self.values[arguments]) {
            (Value::Global(global), Value::Tuple(parts)) => {
                let (global, parts) = (*global, self.arguments(parts)?);
                self.call(global, &parts)
            }
            (Value::Opaque(function), Value::Tuple(_)) => {
                let (name, at) = (function.name.clone(), function.at);
                self.object(&name, at, vec![arguments]);
                Ok(())
            }
            (callable, arguments) => {
                let (callable, arguments) = (callable.kind(), arguments.kind());
                Err(self.damaged(&format!("calls {callable} with {arguments}")))
            }
        }
    }

    /// The arguments of a known function, which are few: a small file could repeat a call with many.
    fn arguments(&self, parts: &[Id]) -> Result<Vec<Id>, Error> {
        if parts.len() > MOST_ARGUMENTS {
            let problem = format!("calls a function of PyTorch with {} arguments", parts.len());
            return Err(self.damaged(&problem));
        }
        Ok(parts.to_vec())
    }

    fn call(&mut self, global: Global, arguments: &[Id]) -> Result<(), Error> {
        match (global, arguments) {
            (Global::OrderedDict, []) => self.push(Value::Dict(Vec::new())),
            (Global::OrderedDict, &[pairs]) => {
                let pairs = self.pairs(pairs)?;
                self.push(Value::Dict(pairs));
            }
            (Global::RebuildTensor, &[storage, offset, shape, strides])
            | (Global::RebuildTensorV2, &[storage, offset, shape, strides, ..]) => {
                self.tensor(storage, [offset, shape, strides])?;
            }
            (Global::RebuildParameter, &[tensor, ..]) => self.stack.push(tensor),
            (Global::RebuildFromType, &[function, _, inner, ..]) => {
                return match (&self.values[function], &self.values[inner]) {
                    // One level: nothing that PyTorch writes has more.
                    (Value::Global(inner_global), Value::Tuple(parts))
                        if *inner_global != Global::RebuildFromType =>
                    {
                        let (inner_global, parts) = (*inner_global, self.arguments(parts)?);
                        self.call(inner_global, &parts)
                    }
                    (Value::Opaque(function), _) => {
                        let (name, at) = (function.name.clone(), function.at);
                        self.object(&name, at, arguments.to_vec());
                        Ok(())
                    }
                    _ => Err(self.damaged("rebuilds a tensor in an unknown way")),
                };
            }
            (global, arguments) => {
                let problem = format!("calls {global:?} with {} arguments", arguments.len());
                return Err(self.damaged(&problem));
            }
        }
        Ok(())
    }

    /// Pushes a view of a storage; of an opaque storage, an opaque tensor.
    fn tensor(&mut self, storage: Id, [offset, shape, strides]: [Id; 3]) -> Result<(), Error> {
        if let Value::Opaque(unknown) = &self.values[storage] {
            let (name, at) = (unknown.name.clone(), unknown.at);
            self.object(&name, at, vec![storage]);
            return Ok(());
        }
        let view = Strided {
            offset: self.size(offset)?,
            shape: self.sizes(shape)?,
            strides: self.sizes(strides)?,
        };
        if !matches!(self.values[storage], Value::Storage { .. }) {
            let kind = self.values[storage].kind();
            return Err(self.damaged(&format!("makes a tensor from {kind}")));
        }
        self.push(Value::Tensor { storage, view });
        Ok(())
    }

    /// Gives attributes to an object. Those of a dict are ignored: PyTorch gives a state dict the versions of its modules.
    pub(super) fn build(&mut self) -> Result<(), Error> {
        let state = self.pop()?;
        let object = self.top()?;
        match &mut self.values[object] {
            Value::Dict(_) => Ok(()),
            Value::Opaque(object) => {
                object.state = Some(state);
                Ok(())
            }
            other => {
                let kind = other.kind();
                Err(self.damaged(&format!("gives attributes to {kind}")))
            }
        }
    }

    /// Builds the storage `('storage', torch.FloatStorage, key, location, count)`; the old format adds a view, `None`.
    pub(super) fn storage(&mut self) -> Result<(), Error> {
        let id = self.pop()?;
        let Value::Tuple(parts) = &self.values[id] else {
            return Err(self.damaged("refers to outside data by something that is not a tuple"));
        };
        if parts.len() > 6 {
            return Err(self.damaged("refers to a storage by more than 6 values"));
        }
        let key = parts.get(2).copied();
        let values: Vec<&Value> = parts.iter().map(|&part| &self.values[part]).collect();
        // Numbers of a type that no weights have, such as complex ones.
        if let [Value::Text(kind), Value::Opaque(class), ..] = &values[..]
            && kind == "storage"
        {
            let (name, at) = (class.name.clone(), class.at);
            self.object(&name, at, Vec::new());
            return Ok(());
        }
        let [
            Value::Text(kind),
            Value::Global(Global::Storage(dtype)),
            Value::Text(_),
            Value::Text(_),
            Value::Int(count),
            view @ ..,
        ] = &values[..]
        else {
            return Err(self.damaged("refers to outside data that is not a storage"));
        };
        if kind != "storage" || !matches!(view, [] | [Value::None]) {
            return Err(self.damaged("refers to a storage in an unknown way"));
        }
        let count = usize::try_from(*count)
            .map_err(|_| self.damaged(&format!("refers to a storage of {count} numbers")))?;
        let key = key.expect("the third of five");
        let storage = Value::Storage { key, dtype: *dtype, count };
        self.push(storage);
        Ok(())
    }

    /// Takes the pairs of an OrderedDict as Python 2 writes it: a list that nothing else refers to.
    fn pairs(&mut self, list: Id) -> Result<Vec<(Id, Id)>, Error> {
        // Taken, not copied: a small file could refer to a long list many times.
        let Value::List(items) = std::mem::replace(&mut self.values[list], Value::None) else {
            return Err(self.damaged("makes an OrderedDict from something that is not a list"));
        };
        let pair = |&item: &Id| match &self.values[item] {
            Value::Tuple(pair) | Value::List(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err(self.damaged("makes an OrderedDict from items that are not pairs")),
        };
        items.iter().map(pair).collect()
    }

    fn size(&self, id: Id) -> Result<usize, Error> {
        match &self.values[id] {
            Value::Int(number) => usize::try_from(*number).map_err(|_| {
                self.damaged(&format!("has a tensor of size, stride or offset {number}"))
            }),
            other => Err(self.damaged(&format!("has {} where a size belongs", other.kind()))),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, Error> {
        match &self.values[id] {
            Value::Tuple(sizes) | Value::List(sizes) if sizes.len() <= MOST_AXES => {
                sizes.iter().map(|&size| self.size(size)).collect()
            }
            Value::Tuple(sizes) | Value::List(sizes) => {
                Err(self.damaged(&format!("has a tensor of {} axes", sizes.len())))
            }
            other => Err(self.damaged(&format!("has {} where sizes belong", other.kind()))),
        }
    }
}

/// The start of `name`, as far as it is kept.
fn cut(name: &str) -> &str {
    let end = (0..=LONGEST_NAME.min(name.len())).rev().find(|&end| name.is_char_boundary(end));
    &name[..end.unwrap_or(0)]
}
