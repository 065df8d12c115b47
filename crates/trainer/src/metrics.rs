//! `metrics.jsonl`: one object a line, appended and flushed, so that a run can be watched and a crash loses nothing.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::Error;

/// The open file.
pub(crate) struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// A new file at `path`.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create_new(path).map_err(Error::file("create", path))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Appends a line: the time, where the run is, and `values` by tag. A number that is not finite becomes null.
    pub(crate) fn log(
        &mut self,
        step: u64,
        epoch: u64,
        values: &[(&str, f64)],
    ) -> Result<(), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut line = Map::new();
        line.insert("time".to_string(), json!((now * 1000.0).round() / 1000.0));
        line.insert("step".to_string(), json!(step));
        line.insert("epoch".to_string(), json!(epoch));
        line.extend(values.iter().map(|(tag, value)| (tag.to_string(), json!(value))));
        let text = format!("{}\n", Value::Object(line));
        self.file.write_all(text.as_bytes()).map_err(Error::file("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_object() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut metrics = Metrics::create(&path).unwrap();
        metrics.log(20, 1, &[("train/loss", 2.5), ("lr", 1e-3)]).unwrap();
        metrics.log(40, 1, &[("train/loss", f64::NAN)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&lines[0]["step"], &lines[0]["train/loss"], &lines[0]["lr"]),
            (&json!(20), &json!(2.5), &json!(1e-3))
        );
        assert_eq!(lines[1]["train/loss"], Value::Null);
        assert!(Metrics::create(&path).is_err(), "a run never writes over another's metrics");
    }
}
