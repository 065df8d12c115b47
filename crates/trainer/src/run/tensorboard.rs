//! Event files, which TensorBoard shows: scalars, images and histograms of a run.
//!
//! The writer is our own, because the formats are three small ones and the crates for them are no longer maintained:
//! [`record`](self::record) frames and checksums, [`event`](self::event) is the schema, [`protobuf`](crate::protobuf)
//! the encoding. `cargo xtask check-tensorboard` checks the files of a run with TensorBoard's own reader.

mod buckets;
mod event;
mod record;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use image::{ImageFormat, RgbImage};

use self::buckets::Buckets;
use self::record::record;
use crate::file_error::FileError;
use crate::run::{Error, EventsProblem};

pub(crate) use self::event::Stamp;

/// The prefix by which TensorBoard recognises event files.
const PREFIX: &str = "events.out.tfevents.";

/// An event file that grows. Every event has reached the operating system when the call that wrote it returns.
#[derive(Debug)]
pub(crate) struct EventWriter {
    path: PathBuf,
    file: File,
    position: u64,
}

impl EventWriter {
    /// A new file in `folder`, which is made if it is not there, named by time, host and process.
    pub(crate) fn create(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(FileError::on("create", folder))?;
        let now = now();
        let name = format!("{PREFIX}{:010}.{}.{}", now as u64, host(), std::process::id());
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(FileError::on("create", &path))?;
        let mut writer = Self { path, file, position: 0 };
        writer.append(&event::file_version(now))?;
        Ok(writer)
    }

    /// Opens the file `name` of `folder` as it was when `position` was its [`position`](Self::position): later events are
    /// cut off, so that no step is in it twice when a run resumes.
    ///
    /// A TensorBoard that is reading the file has to be started again.
    ///
    /// # Errors
    ///
    /// A file that is missing, shorter than `position`, or was never `position` bytes long; it is left as it was.
    pub(crate) fn reopen(folder: &Path, name: &str, position: u64) -> Result<Self, Error> {
        let path = folder.join(name);
        let refuse = |problem| Error::Events { path: path.clone(), problem };
        // What follows truncates: the name must not lead anywhere else.
        if !name.starts_with(PREFIX) || Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(refuse(EventsProblem::OtherFolder(name.to_string())));
        }
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let mut file = opened.map_err(|error| match error.kind() {
            ErrorKind::NotFound => refuse(EventsProblem::Missing),
            _ => FileError::on("read", &path)(error).into(),
        })?;
        let mut kept = Vec::new();
        (&file).take(position).read_to_end(&mut kept).map_err(FileError::on("read", &path))?;
        if (kept.len() as u64) < position {
            let bytes = kept.len() as u64;
            return Err(refuse(EventsProblem::Shorter { bytes, written: position }));
        }
        if kept.is_empty() || !record::is_whole(&kept) {
            return Err(refuse(EventsProblem::NotAnEvent { position }));
        }
        file.set_len(position).map_err(FileError::on("write", &path))?;
        file.seek(SeekFrom::Start(position)).map_err(FileError::on("write", &path))?;
        Ok(Self { path, file, position })
    }

    /// Removes every event file of `folder`, which need not be there.
    pub(crate) fn remove_all(folder: &Path) -> Result<(), Error> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for entry in entries {
            let path = entry.map_err(FileError::on("read", folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(PREFIX) {
                fs::remove_file(&path).map_err(FileError::on("remove", &path))?;
            }
        }
        Ok(())
    }

    /// A number for each tag, as TensorBoard's float32.
    pub(crate) fn scalars(&mut self, stamp: Stamp, values: &[(&str, f64)]) -> Result<(), Error> {
        self.append(&event::scalars(stamp, values))
    }

    /// An image.
    pub(crate) fn image(&mut self, stamp: Stamp, tag: &str, image: &RgbImage) -> Result<(), Error> {
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).expect("memory takes an image with pixels");
        self.append(&event::image(stamp, tag, image.dimensions().into(), png.get_ref()))
    }

    /// A histogram of `values`. Values that are not finite are left out; if none is left, nothing is written.
    pub(crate) fn histogram(
        &mut self,
        stamp: Stamp,
        tag: &str,
        values: &[f32],
    ) -> Result<(), Error> {
        match Buckets::of(values) {
            Some(buckets) => self.append(&event::histogram(stamp, tag, &buckets)),
            None => Ok(()),
        }
    }

    /// The file's name in its folder, which [`reopen`](Self::reopen) asks for.
    pub(crate) fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).expect("made of text in `create`")
    }

    /// Bytes written.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Waits until the bytes are on the disk: the file must not be shorter after a power cut than a
    /// [`position`](Self::position) that was saved.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        Ok(self.file.sync_data().map_err(FileError::on("write", &self.path))?)
    }

    fn append(&mut self, event: &[u8]) -> Result<(), Error> {
        let record = record(event);
        if let Err(error) = self.file.write_all(&record) {
            // TensorBoard reads nothing after half an event. If it cannot be removed, the first error says enough.
            drop(self.file.set_len(self.position));
            drop(self.file.seek(SeekFrom::Start(self.position)));
            return Err(FileError::on("write", &self.path)(error).into());
        }
        self.position += record.len() as u64;
        Ok(())
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The machine's name, of characters that are safe in the name of a file.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok());
    let safe = |c: &char| c.is_ascii_alphanumeric() || ['-', '_'].contains(c);
    let name = name.unwrap_or_default();
    let name: String = name.trim().chars().take_while(|c| *c != '.').filter(safe).collect();
    if name.is_empty() { "localhost".into() } else { name }
}
