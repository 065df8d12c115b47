//! `metrics.jsonl`: one object per line, appended and flushed, so that a run can be watched and a crash loses nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::file_error::FileError;
use crate::run::Error;

/// The open file.
pub(crate) struct Metrics {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines in the file.
    length: u64,
    /// Lines that could not be written yet, on a full disk.
    pending: Vec<u8>,
}

impl Metrics {
    /// The file at `path`, new or to be appended to.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        if path.is_symlink() {
            let problem = "it is a link, and what it leads to would be written; remove it";
            return Err(FileError::on("open", path)(io::Error::other(problem)).into());
        }
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(FileError::on("open", path))?;
        let length = file.seek(SeekFrom::End(0)).map_err(FileError::on("read", path))?;
        Ok(Self { path: path.to_path_buf(), file, length, pending: Vec::new() })
    }

    /// Keeps the first `length` bytes: lines after a checkpoint are written again.
    ///
    /// A file that is gone or shorter does not stop the run; this warns.
    pub(crate) fn cut_back(&mut self, length: u64) -> Result<(), Error> {
        if self.length < length {
            tracing::warn!(
                "{} has {} bytes and had {length}: some of its lines are lost",
                self.path.display(),
                self.length
            );
        }
        self.pending.clear();
        self.length = self.length.min(length);
        Ok(self.settle().map_err(FileError::on("write", &self.path))?)
    }

    /// The number of bytes so far, once they would survive a power cut.
    pub(crate) fn synced_length(&mut self) -> u64 {
        self.write_pending();
        if let Err(error) = self.file.sync_data() {
            tracing::warn!("cannot sync {}: {error}", self.path.display());
        }
        self.length
    }

    /// Appends a line: the time, the step and epoch, and `values` by tag. A number that is not finite becomes null.
    ///
    /// A line that cannot be written is kept for the next time: a run does not end because of its log.
    pub(crate) fn log(&mut self, step: u64, epoch: u64, values: &[(&str, f64)]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut line = Map::new();
        line.insert("time".to_string(), json!((now * 1000.0).round() / 1000.0));
        line.insert("step".to_string(), json!(step));
        line.insert("epoch".to_string(), json!(epoch));
        line.extend(values.iter().map(|(tag, value)| (tag.to_string(), json!(value))));
        self.pending.extend(format!("{}\n", Value::Object(line)).into_bytes());
        self.write_pending();
    }

    fn write_pending(&mut self) {
        let written = self.file.write_all(&self.pending);
        if let Err(error) = written {
            tracing::warn!(
                "cannot write {}: {error}; its lines are kept for later",
                self.path.display()
            );
            // Part of a line may be there. If it cannot be removed, the next write begins after it.
            drop(self.settle());
            return;
        }
        self.length += self.pending.len() as u64;
        self.pending.clear();
    }

    /// Cuts the file off after its last whole line.
    fn settle(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn each_line_is_an_object() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut metrics = Metrics::open(&path).unwrap();
        metrics.log(20, 1, &[("train/loss", 2.5), ("lr", 1e-3)]);
        metrics.log(40, 1, &[("train/loss", f64::NAN)]);
        let lines = lines(&path);
        assert_eq!(
            (&lines[0]["step"], &lines[0]["train/loss"], &lines[0]["lr"]),
            (&json!(20), &json!(2.5), &json!(1e-3))
        );
        assert_eq!(lines[1]["train/loss"], Value::Null);
    }

    #[test]
    fn a_file_is_cut_back_to_where_a_checkpoint_saw_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let steps = || -> Vec<u64> {
            lines(&path).iter().map(|line| line["step"].as_u64().unwrap()).collect()
        };
        let mut metrics = Metrics::open(&path).unwrap();
        metrics.log(20, 1, &[]);
        let length = metrics.synced_length();
        metrics.log(40, 1, &[]);
        assert_eq!(steps(), [20, 40]);
        let mut metrics = Metrics::open(&path).unwrap();
        metrics.cut_back(length).unwrap();
        metrics.log(40, 1, &[]);
        assert_eq!(steps(), [20, 40]);
        metrics.cut_back(1 << 40).unwrap();
        metrics.log(60, 1, &[]);
        assert_eq!(steps(), [20, 40, 60]);
    }

    #[test]
    fn lines_that_a_disk_refuses_come_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut metrics = Metrics::open(&path).unwrap();
        metrics.log(20, 1, &[]);
        let writable = std::mem::replace(&mut metrics.file, File::open(&path).unwrap());
        metrics.log(40, 1, &[]);
        assert_eq!(lines(&path).len(), 1);
        metrics.file = writable;
        metrics.log(60, 1, &[]);
        let steps: Vec<Value> = lines(&path).iter().map(|line| line["step"].clone()).collect();
        assert_eq!(steps, [20, 40, 60]);
    }
}
