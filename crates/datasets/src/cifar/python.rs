//! The version of CIFAR for Python: the same images in the same order, as a pickled dictionary with an array of numpy.
//!
//! The pickle is parsed by the crate `weight-files`, which executes nothing.

use std::path::Path;

use weight_files::{DType, Pickled, parse_pickled};

use super::{Cifar, LabelByte, PLANE, Records, interleave};
use crate::Error;

impl Cifar {
    /// Parses `records` records from the bytes of a file of the version for Python, as Python 2 or 3 pickled it.
    ///
    /// # Errors
    /// A damaged pickle, an array of another shape or type, other than `records` labels, or a label out of range.
    pub fn parse_python(self, file: &Path, bytes: &[u8], records: usize) -> Result<Records, Error> {
        let refuse = |problem: String| self.python_problem(file, problem);
        let values = parse_pickled(bytes).map_err(|error| refuse(format!("it {error}")))?;
        let labels = self.label_bytes().iter().map(|label| {
            let key = label.python_key(self);
            let found = values.get(key).ok_or_else(|| format!("it has no '{key}'"))?;
            labels(key, label, found, records)
        });
        // The last of them is the one that is trained on.
        let labels = labels.collect::<Result<Vec<Vec<u32>>, String>>().map_err(refuse)?;
        let labels = labels.into_iter().next_back().unwrap_or_default();
        let array = match values.get("data") {
            Some(Pickled::Array(array)) => array,
            Some(_) => return Err(refuse("its 'data' is no array of numpy".to_string())),
            None => return Err(refuse("it has no 'data'".to_string())),
        };
        if array.dtype != DType::U8 {
            let problem = format!("its 'data' has numbers of type {:?}, expected U8", array.dtype);
            return Err(refuse(problem));
        }
        if array.shape != [records, 3 * PLANE] {
            let (shape, row) = (&array.shape, 3 * PLANE);
            return Err(refuse(format!(
                "its 'data' has the shape {shape:?}, expected [{records}, {row}]"
            )));
        }
        let mut pixels = vec![0; records * 3 * PLANE];
        let rows = array.data.chunks_exact(3 * PLANE);
        rows.zip(pixels.chunks_exact_mut(3 * PLANE))
            .for_each(|(row, image)| interleave(row, image));
        Ok(Records { pixels, labels })
    }

    pub(super) fn python_problem(self, file: &Path, problem: String) -> Error {
        Error::PythonVersion { file: file.into(), problem, set: self.name() }
    }
}

impl LabelByte {
    /// The key of the labels in the dictionary.
    fn python_key(&self, set: Cifar) -> &'static str {
        match (set, self.name) {
            (Cifar::Cifar10, _) => "labels",
            (Cifar::Cifar100, "coarse label") => "coarse_labels",
            (Cifar::Cifar100, _) => "fine_labels",
        }
    }
}

/// The labels under `key`: a list, or an array of numpy in files that were written again.
fn labels(
    key: &str,
    label: &LabelByte,
    value: &Pickled,
    records: usize,
) -> Result<Vec<u32>, String> {
    let numbers: Vec<i64> = match value {
        Pickled::Integers(numbers) => numbers.clone(),
        Pickled::Array(array) if array.dtype == DType::I64 => {
            array.data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
        }
        Pickled::Array(array) if array.dtype == DType::I32 => {
            array.data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect()
        }
        Pickled::Array(array) if array.dtype == DType::U8 => {
            array.data.iter().map(|&byte| byte.into()).collect()
        }
        _ => return Err(format!("its '{key}' are no whole numbers")),
    };
    if numbers.len() != records {
        return Err(format!("it has {} '{key}', expected {records}", numbers.len()));
    }
    let place = numbers.iter().position(|number| !(0..label.classes.into()).contains(number));
    if let Some(place) = place {
        let (number, last) = (numbers[place], label.classes - 1);
        let name = label.name;
        return Err(format!("the {name} of image {place} is {number}, expected 0 to {last}"));
    }
    Ok(numbers.into_iter().map(|number| number as u32).collect())
}
