//! A run's files other than its events: the numbers of `metrics.jsonl`, and how many weights each layer has.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// Keys of a line that are no measurement.
const PLACES: &[&str] = &["time", "step", "epoch"];

/// A number of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// The name of the measurement.
    pub tag: String,
    /// The step.
    pub step: u64,
    /// Seconds since 1970.
    pub time: f64,
    /// In the precision of TensorBoard; `None` for what is not finite.
    pub value: Option<f32>,
}

/// Every number of every line.
///
/// # Errors
///
/// Names the line that is no object with a time, a step and numbers.
pub fn scalars(path: &Path) -> Result<Vec<Scalar>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut scalars = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let failed = || format!("{}, line {}", path.display(), index + 1);
        scalars.extend(line_scalars(line).with_context(failed)?);
    }
    Ok(scalars)
}

fn line_scalars(line: &str) -> Result<Vec<Scalar>> {
    let line: Map<String, Value> = serde_json::from_str(line)?;
    let step = line.get("step").and_then(Value::as_u64).context("has no step")?;
    let time = line.get("time").and_then(Value::as_f64).context("has no time")?;
    let measured = line.into_iter().filter(|(tag, _)| !PLACES.contains(&tag.as_str()));
    measured
        .map(|(tag, value)| match value {
            Value::Null => Ok(Scalar { tag, step, time, value: None }),
            Value::Number(_) => {
                let value = value.as_f64().map(|value| value as f32);
                Ok(Scalar { tag, step, time, value: value.filter(|value| value.is_finite()) })
            }
            other => bail!("{tag} is {other}, which is no number"),
        })
        .collect()
}

/// The number of elements of each tensor of a safetensors file; `None` where there is no file.
///
/// # Errors
///
/// When the file is there and has no header that can be read.
pub fn weights(path: &Path) -> Result<Option<BTreeMap<String, u64>>> {
    if !path.exists() {
        return Ok(None);
    }
    let failed = || format!("cannot read the header of {}", path.display());
    let header = header(path).with_context(failed)?;
    let elements = |tensor: &Value| -> Option<u64> {
        tensor["shape"].as_array()?.iter().map(Value::as_u64).product()
    };
    let tensors = header.iter().filter(|(name, _)| *name != "__metadata__");
    let counts = tensors.map(|(name, tensor)| Some((name.clone(), elements(tensor)?)));
    counts.collect::<Option<_>>().map(Some).context("a tensor has no shape").with_context(failed)
}

fn header(path: &Path) -> Result<Map<String, Value>> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut text = Vec::new();
    file.take(u64::from_le_bytes(length)).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_line_counts_but_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let line = r#"{"epoch":1,"step":20,"time":5.5,"lr":0.1,"train/loss":null}"#;
        fs::write(&path, format!("{line}\n")).unwrap();
        let scalar = |tag: &str, value| Scalar { tag: tag.into(), step: 20, time: 5.5, value };
        assert_eq!(scalars(&path).unwrap(), [scalar("lr", Some(0.1)), scalar("train/loss", None)]);
        let check = |second: &str, expected: &str| {
            fs::write(&path, format!("{line}\n{second}\n")).unwrap();
            let error = format!("{:#}", scalars(&path).unwrap_err());
            assert!(error.starts_with(&format!("{}, line 2: ", path.display())), "{error}");
            assert!(error.contains(expected), "{error}");
        };
        check(r#"{"epoch":1,"st"#, "EOF while parsing");
        check(r#"{"time":1}"#, "has no step");
        check(r#"{"time":1,"step":2,"lr":"high"}"#, "lr is \"high\", which is no number");
    }

    #[test]
    fn weights_are_counted_by_their_shapes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        assert_eq!(weights(&path).unwrap(), None);
        let header = r#"{"__metadata__":{},"fc.bias":{"shape":[]},"fc.weight":{"shape":[2,3]}}"#;
        let length = (header.len() as u64).to_le_bytes();
        fs::write(&path, [&length[..], header.as_bytes(), b"data"].concat()).unwrap();
        let expected = [("fc.bias".to_string(), 1), ("fc.weight".to_string(), 6)].into();
        assert_eq!(weights(&path).unwrap(), Some(expected));
        fs::write(&path, "hello").unwrap();
        let error = format!("{:#}", weights(&path).unwrap_err());
        assert!(error.starts_with("cannot read the header of "), "{error}");
    }
}
