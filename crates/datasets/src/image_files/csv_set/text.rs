//! The text of a table: its encoding, its separator, its header.

use csv::{ReaderBuilder, StringRecord, Trim};

use super::super::column_names::normalized;
use crate::TableProblem;
use crate::image_endings::is_image;
use crate::text;

/// The separators that are tried; the one that the first line has most of is taken.
const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// The rows of a table.
#[derive(Debug)]
pub(super) struct Table {
    /// The names of the columns; their numbers from 1 in a table without a header.
    pub(super) columns: Vec<String>,
    /// The rows that are not blank.
    pub(super) rows: Vec<StringRecord>,
    /// The row that `columns` were taken from.
    header: Option<StringRecord>,
    separator: char,
}

impl Table {
    /// Parses the bytes of a table.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TableProblem> {
        let text = text::decoded(bytes);
        // Excel's own first line, `sep=;`.
        let (said, text) = match text.split_once('\n') {
            Some((line, rest)) if line.to_ascii_lowercase().starts_with("sep=") => {
                (line.chars().nth(4), rest)
            }
            _ => (None, &*text),
        };
        let separator = said.filter(char::is_ascii).unwrap_or_else(|| separator(text));
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .delimiter(separator as u8)
            .from_reader(text.as_bytes());
        // The text is UTF-8 in memory, and rows may have any length, so no row is refused.
        let rows = reader.records().filter_map(Result::ok);
        let mut rows: Vec<StringRecord> =
            rows.filter(|row| row.iter().any(|cell| !cell.is_empty())).collect();
        let first = rows.first().ok_or(TableProblem::Empty)?;
        if first.len() < 2 {
            return Err(TableProblem::OneColumn(first.get(0).unwrap_or_default().to_string()));
        }
        let header = (!first.iter().any(is_image)).then(|| rows.remove(0));
        let columns: Vec<String> = match &header {
            Some(header) => header.iter().map(ToString::to_string).collect(),
            None => numbers(rows[0].len()),
        };
        if rows.is_empty() {
            return Err(TableProblem::Empty);
        }
        let is_long =
            |row: &&StringRecord| row.iter().skip(columns.len()).any(|cell| !cell.is_empty());
        if let Some(long) = rows.iter().find(is_long) {
            let (line, cells, columns) = (line(long), long.len(), columns.len());
            return Err(TableProblem::LongRow { line, cells, columns, separator });
        }
        Ok(Self { columns, rows, header, separator })
    }

    /// The columns with one of `names`, but for those in use.
    pub(super) fn called(&self, names: &[&str], used: &[usize]) -> Vec<usize> {
        let is_called =
            |column: &usize| names.contains(&normalized(&self.columns[*column]).as_str());
        self.unused(used).filter(is_called).collect()
    }

    /// The columns that are not in use.
    pub(super) fn unused<'a>(&self, used: &'a [usize]) -> impl Iterator<Item = usize> + use<'a> {
        (0..self.columns.len()).filter(|column| !used.contains(column))
    }

    /// Takes the first row for one of images where a cell of it is one, by its name without an ending.
    pub(super) fn without_header(&mut self, is_there: impl FnMut(&str) -> bool) {
        if let Some(header) = self.header.take_if(|header| header.iter().any(is_there)) {
            self.columns = numbers(header.len());
            self.rows.insert(0, header);
        }
    }

    /// The line of a quote that is not closed at the end of its cell, if `row` has one: the cell holds rows of the table,
    /// whose cell number `image` is an image.
    pub(super) fn open_quote(
        &self,
        row: &StringRecord,
        image: usize,
        mut is_there: impl FnMut(&str) -> bool,
    ) -> Option<u64> {
        let inner = row.iter().flat_map(|cell| cell.lines().skip(1));
        let mut names = inner.filter_map(|line| line.split(self.separator).nth(image));
        names.any(|name| is_there(name.trim().trim_matches('"'))).then(|| line(row))
    }

    /// The cells of a column from the top; empty where a row is too short.
    pub(super) fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().map(move |row| row.get(column).unwrap_or_default())
    }
}

/// The names of columns without a header.
fn numbers(columns: usize) -> Vec<String> {
    (1..=columns).map(|number| number.to_string()).collect()
}

/// The line that a row begins on, counted from 1.
pub(super) fn line(row: &StringRecord) -> u64 {
    row.position().map_or(0, csv::Position::line)
}

/// The separator that the first line has most of, outside of quotes.
fn separator(text: &str) -> char {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut quoted = false;
    let mut counts = [0; SEPARATORS.len()];
    for letter in line.chars() {
        quoted ^= letter == '"';
        if let Some(place) = SEPARATORS.iter().position(|separator| *separator == letter && !quoted)
        {
            counts[place] += 1;
        }
    }
    // The first of those with equal counts.
    let best = (0..SEPARATORS.len()).rev().max_by_key(|&place| counts[place]);
    best.map_or(',', |place| SEPARATORS[place])
}
