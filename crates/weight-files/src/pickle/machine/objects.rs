//! The instructions that build objects: dicts, storages and tensors, from the known names alone.

use super::Machine;
use crate::Error;
use crate::array::Strided;
use crate::pickle::{Global, Id, Value};

/// PyTorch's own limit of a tensor's axes.
const MOST_AXES: usize = 64;

impl Machine<'_> {
    /// Builds what a known function would return. Python would call it.
    pub(super) fn reduce(&mut self) -> Result<(), Error> {
        let [callable, arguments] = self.pop_last(2)?[..] else { unreachable!("two values") };
        let (Value::Global(global), Value::Tuple(arguments)) =
            (&self.values[callable], &self.values[arguments])
        else {
            let (callable, arguments) =
                (self.values[callable].kind(), self.values[arguments].kind());
            return Err(self.damaged(&format!("calls {callable} with {arguments}")));
        };
        match (global, &arguments[..]) {
            (Global::OrderedDict, []) => self.push(Value::Dict(Vec::new())),
            (Global::OrderedDict, &[pairs]) => {
                let pairs = self.pairs(pairs)?;
                self.push(Value::Dict(pairs));
            }
            (Global::RebuildTensor, &[storage, offset, shape, strides])
            | (Global::RebuildTensorV2, &[storage, offset, shape, strides, ..]) => {
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
            }
            (Global::RebuildParameter, &[tensor, ..]) => self.stack.push(tensor),
            (global, arguments) => {
                let problem = format!("calls {global:?} with {} arguments", arguments.len());
                return Err(self.damaged(&problem));
            }
        }
        Ok(())
    }

    /// Ignores the attributes of an object: PyTorch gives a state dict the versions of its modules.
    pub(super) fn build(&mut self) -> Result<(), Error> {
        self.pop()?;
        let object = self.top()?;
        match &self.values[object] {
            Value::Dict(_) => Ok(()),
            other => Err(self.damaged(&format!("gives attributes to {}", other.kind()))),
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
