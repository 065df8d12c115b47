//! The rows of a file: each row group is read once, a few rows at a time, and the images are copied into the spool.

use std::collections::HashSet;
use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Type;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::cells::{Cell, Column, Labels};
use super::columns::{self, Chosen};
use super::features::Features;
use super::footer;
use super::pages::Pages;
use super::spool::Spool;
use super::unpack::is_known;
use crate::decode::{LARGEST_FILE, read_file};
use crate::image_files::names;
use crate::{Error, ParquetFileError, ParquetProblem, regular_file};

/// Rows that are in memory at a time.
const STEP: usize = 64;
/// The most rows of a file, and bytes of images, that do not depend on its length.
const MOST_ROWS: u64 = 1 << 20;
const MOST_BYTES: u64 = 1 << 30;
/// The longest path, in bytes: one text of a file may be the cell of a million rows.
const LONGEST_PATH: usize = 4096;
/// The most bytes of images for each byte of the file.
const MOST_TIMES: u64 = 64;

/// An open file.
pub(super) struct Opened {
    file: Arc<File>,
    length: u64,
    path: PathBuf,
    /// Its name relative to the set.
    name: String,
    metadata: ParquetMetaData,
    pub(super) features: Features,
}

/// A row with an image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// The image's name, after that of its file.
    pub(super) name: String,
    /// The digest of its bytes.
    pub(super) content: String,
    pub(super) label: Cell,
    /// The cell of the column of splits.
    pub(super) split: Option<String>,
    /// The first byte of the image in the spool, and its length.
    pub(super) place: (u64, u32),
}

/// The images of a file.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    /// The number of rows without an image.
    pub(super) empty: usize,
    /// The paths of images that are neither in the file nor beside it.
    pub(super) missing: Vec<String>,
}

impl Opened {
    /// Opens the file at `path` and reads its footer.
    pub(super) fn new(path: &Path, name: &str) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { file: path.to_path_buf(), source };
        let file = regular_file::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let metadata = footer::read(&file, length).map_err(|problem| refuse(path, problem))?;
        let features = Features::of(metadata.file_metadata().key_value_metadata());
        let (path, name, file) = (path.to_path_buf(), name.to_string(), Arc::new(file));
        Ok(Self { file, length, path, name, metadata, features })
    }

    /// Chooses the columns.
    pub(super) fn columns(&self, asked: &crate::TableColumns) -> Result<Chosen, Error> {
        let schema = self.metadata.file_metadata().schema_descr();
        Chosen::of(schema, &self.features, asked).map_err(|problem| self.refuse(problem))
    }

    /// Chooses the columns of a file whose labels are kept secret.
    pub(super) fn columns_without_labels(
        &self,
        asked: &crate::TableColumns,
    ) -> Result<Chosen, Error> {
        let schema = self.metadata.file_metadata().schema_descr();
        let chosen = Chosen::without_labels(schema, &self.features, asked);
        chosen.map_err(|problem| self.refuse(problem))
    }

    /// Whether there is a column that is called as labels are, or whose classes have names.
    pub(super) fn has_labels(&self) -> bool {
        let schema = self.metadata.file_metadata().schema_descr();
        columns::have_labels(schema, &self.features)
    }

    pub(super) fn refuse(&self, problem: ParquetProblem) -> Error {
        refuse(&self.path, problem)
    }

    /// Reads all rows into `spool`. Images without bytes are files below `folder`.
    ///
    /// The decoders of the crate `parquet` expect sound pages: what a damaged one makes them do ends here as an error.
    pub(super) fn read(
        &self,
        chosen: &Chosen,
        folder: &Path,
        spool: &mut Spool,
    ) -> Result<Rows, Error> {
        // After a panic nothing is used of what was written: the spool is removed.
        let read = panic::catch_unwind(AssertUnwindSafe(|| self.read_all(chosen, folder, spool)));
        read.unwrap_or_else(|_| {
            Err(self.refuse(ParquetProblem::Damaged("a page makes no sense".to_string())))
        })
    }

    fn read_all(&self, chosen: &Chosen, folder: &Path, spool: &mut Spool) -> Result<Rows, Error> {
        let most_bytes = MOST_BYTES.max(self.length.saturating_mul(MOST_TIMES));
        let most_bytes = spool.length().saturating_add(most_bytes);
        let mut reading = Reading { file: self, folder, spool, most_bytes, rows: Rows::default() };
        let mut paths = Vec::new();
        let mut number = 0;
        for group in 0..self.metadata.num_row_groups() {
            let count = self.rows_of(group, number)?;
            let mut columns = Columns::open(self, chosen, group, count)?;
            let mut left = count;
            while left > 0 {
                let step = left.min(STEP as u64);
                let rows = columns.read(step as usize).map_err(|error| self.damaged(&error))?;
                for row in rows {
                    reading.add(row, number, &mut paths)?;
                    number += 1;
                }
                left -= step;
            }
        }
        let Rows { mut rows, empty, missing } = reading.rows;
        name_all(&mut rows, paths, &self.name);
        Ok(Rows { rows, empty, missing })
    }

    /// The number of rows of a row group, after `before` rows.
    fn rows_of(&self, group: usize, before: u64) -> Result<u64, Error> {
        let claimed = self.metadata.row_group(group).num_rows();
        let most = MOST_ROWS.saturating_add(self.length);
        match u64::try_from(claimed) {
            Ok(rows) if before.saturating_add(rows) <= most => Ok(rows),
            _ => {
                let problem = format!("its {} bytes claim {claimed} rows at once", self.length);
                Err(self.refuse(ParquetProblem::Damaged(problem)))
            }
        }
    }

    fn damaged(&self, error: &ParquetError) -> Error {
        self.refuse(match error {
            ParquetError::General(problem) => ParquetProblem::Damaged(problem.clone()),
            ParquetError::NYI(problem) => ParquetProblem::Unsupported(problem.clone()),
            other => ParquetProblem::Damaged(other.to_string()),
        })
    }

    /// The pages of a column in a row group of `rows` rows.
    fn pages(&self, group: usize, leaf: usize, rows: u64) -> Result<Pages, Error> {
        let damaged = |problem: &str| self.refuse(ParquetProblem::Damaged(problem.to_string()));
        let columns = self.metadata.row_group(group).columns();
        let column = columns.get(leaf).ok_or_else(|| damaged("a row group lacks a column"))?;
        let name = column.column_path().string();
        if column.file_path().is_some_and(|path| !path.is_empty()) {
            return Err(self.refuse(ParquetProblem::Outside { column: name }));
        }
        if !is_known(column.compression()) {
            let codec = format!("{:?}", column.compression());
            let codec = codec.split('(').next().unwrap_or_default().to_string();
            return Err(self.refuse(ParquetProblem::Codec { column: name, codec }));
        }
        let (at, end) = self
            .range(column)
            .ok_or_else(|| damaged(&format!("column {name} lies beyond its end")))?;
        Ok(Pages {
            file: Arc::clone(&self.file),
            at,
            end,
            codec: column.compression(),
            physical: column.column_type(),
            has_levels: column.column_descr().max_def_level() > 0,
            rows,
            has_dictionary: false,
        })
    }

    fn range(&self, column: &ColumnChunkMetaData) -> Option<(u64, u64)> {
        let data = u64::try_from(column.data_page_offset()).ok()?;
        // Some writers say 0 where there is no dictionary.
        let dictionary = column.dictionary_page_offset().filter(|&offset| offset > 0);
        let start = match dictionary {
            Some(offset) => data.min(u64::try_from(offset).ok()?),
            None => data,
        };
        let end = start.checked_add(u64::try_from(column.compressed_size()).ok()?)?;
        (end <= self.length).then_some((start, end))
    }
}

fn refuse(path: &Path, problem: ParquetProblem) -> Error {
    ParquetFileError { file: path.to_path_buf(), problem }.into()
}

/// The columns of a row group that are used.
struct Columns {
    bytes: Column<ByteArrayType>,
    path: Option<Column<ByteArrayType>>,
    label: Option<Labels>,
    split: Option<Column<ByteArrayType>>,
}

/// The cells of a row.
struct Cells {
    bytes: Option<ByteArray>,
    path: Option<ByteArray>,
    label: Cell,
    split: Option<ByteArray>,
}

impl Columns {
    fn open(file: &Opened, chosen: &Chosen, group: usize, rows: u64) -> Result<Self, Error> {
        let schema = file.metadata.file_metadata().schema_descr();
        let pages = |leaf: usize| file.pages(group, leaf, rows);
        let bytes = |leaf: usize| {
            let pages = pages(leaf)?;
            // A row group has its own word on the type, which decoders do not compare with the schema.
            if pages.physical != Type::BYTE_ARRAY {
                let problem = format!("a column of bytes has values of type {}", pages.physical);
                return Err(file.refuse(ParquetProblem::Damaged(problem)));
            }
            Ok(Column::new(schema.column(leaf), pages))
        };
        let label = match &chosen.label {
            Some((_, leaf)) => {
                let labels = Labels::new(schema.column(*leaf), pages(*leaf)?);
                Some(labels.map_err(|error| file.damaged(&error))?)
            }
            None => None,
        };
        Ok(Self {
            bytes: bytes(chosen.bytes)?,
            path: chosen.path.map(bytes).transpose()?,
            label,
            split: chosen.split.as_ref().map(|(_, leaf)| bytes(*leaf)).transpose()?,
        })
    }

    /// The cells of the next `rows` rows.
    fn read(&mut self, rows: usize) -> Result<Vec<Cells>, ParquetError> {
        type Texts = Option<Column<ByteArrayType>>;
        let texts = |column: &mut Texts| match column {
            Some(column) => column.read(rows),
            None => Ok(vec![None; rows]),
        };
        let bytes = self.bytes.read(rows)?;
        let (paths, splits) = (texts(&mut self.path)?, texts(&mut self.split)?);
        let labels = match &mut self.label {
            Some(labels) => labels.read(rows)?,
            None => vec![Cell::Missing; rows],
        };
        let cells = bytes.into_iter().zip(paths).zip(labels).zip(splits);
        Ok(cells
            .map(|(((bytes, path), label), split)| Cells { bytes, path, label, split })
            .collect())
    }
}

struct Reading<'a> {
    file: &'a Opened,
    folder: &'a Path,
    spool: &'a mut Spool,
    most_bytes: u64,
    rows: Rows,
}

impl Reading<'_> {
    /// Adds row `number` of the file, and the path that it has to `paths`.
    fn add(
        &mut self,
        cells: Cells,
        number: u64,
        paths: &mut Vec<Option<String>>,
    ) -> Result<(), Error> {
        let text = |bytes: &ByteArray| String::from_utf8_lossy(bytes.data()).into_owned();
        let is_short = |bytes: &&ByteArray| bytes.len() <= LONGEST_PATH;
        let path = cells.path.as_ref().filter(is_short).map(text).filter(|path| !path.is_empty());
        let mut beside = Vec::new();
        let bytes = match (&cells.bytes, &path) {
            (Some(bytes), _) => bytes.data(),
            (None, None) => {
                self.rows.empty += 1;
                return Ok(());
            }
            (None, Some(path)) => {
                let file = self.folder.join(path);
                if !file.is_file() {
                    self.rows.missing.push(path.clone());
                    return Ok(());
                }
                read_file(&file, &mut beside)?;
                &beside
            }
        };
        let length = bytes.len() as u64;
        if length > LARGEST_FILE {
            return Err(self.file.refuse(ParquetProblem::LargeImage { row: number, length }));
        }
        if self.spool.length().saturating_add(length) > self.most_bytes {
            let problem = format!("its {} bytes claim to hold more images", self.file.length);
            return Err(self.file.refuse(ParquetProblem::Damaged(problem)));
        }
        let place = (self.spool.add(bytes)?, length as u32);
        let split = cells.split.as_ref().filter(is_short).map(text);
        let (name, content) = (number.to_string(), names::content(bytes));
        self.rows.rows.push(Row { name, content, label: cells.label, split, place });
        paths.push(path);
        Ok(())
    }
}

/// Names the images of `file` by their paths, if each has one of its own, and else by their rows, counted from 0; the digest
/// of its bytes ends each name.
fn name_all(rows: &mut [Row], paths: Vec<Option<String>>, file: &str) {
    let distinct: HashSet<&String> = paths.iter().flatten().collect();
    let by_path = distinct.len() == rows.len();
    for (row, path) in rows.iter_mut().zip(paths) {
        let own = match path {
            Some(path) if by_path => path.trim_start_matches('/').to_string(),
            _ => std::mem::take(&mut row.name),
        };
        row.name = format!("{file}/{own}#{}", row.content);
    }
}
