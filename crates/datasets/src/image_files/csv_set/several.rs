//! The labels of rows that may have several: in a cell with separators, or in a column of 0 and 1 for each class.
//!
//! A row without a label is an image of no class, and stays. A cell that could mean two things is refused: labels that are
//! read wrongly would be trained on in silence.

use std::collections::BTreeSet;

use csv::StringRecord;

use super::super::label_texts::is_missing;
use super::super::skipped::Skipped;
use super::columns::bit;
use super::text::{Table, line};
use crate::TableProblem;

/// Separators that a cell of another one is searched for. A space is in many a name.
const OTHERS: [char; 3] = ['|', ';', ','];

/// The labels of every row, which `separator` parts in the cells of `column`.
pub(super) fn in_cells(
    table: &Table,
    column: usize,
    separator: char,
    skipped: &mut Skipped,
) -> Result<Vec<Vec<String>>, TableProblem> {
    let cells = || table.rows.iter().zip(table.cells(column));
    let parts = |(row, cell): (&StringRecord, &str)| parts(row, cell, separator);
    let labels: Vec<Vec<String>> = cells().map(parts).collect::<Result<_, _>>()?;
    let known: BTreeSet<&str> = labels.iter().flatten().map(String::as_str).collect();
    let has_another =
        |label: &str| label.contains(|letter| letter != separator && OTHERS.contains(&letter));
    for (row, labels) in table.rows.iter().zip(&labels) {
        let is_list = |label: &&String| has_another(label) && is_list(label, separator, &known);
        if let Some(label) = labels.iter().find(is_list) {
            let (line, label) = (line(row), label.clone());
            return Err(TableProblem::OtherSeparator { line, label, separator });
        }
    }
    if !cells().any(|(_, cell)| cell.contains(separator)) {
        let name = &table.columns[column];
        let mut suspects = cells().filter(|(_, cell)| has_another(cell));
        if let Some((row, cell)) = suspects.next() {
            let (line, label, column) = (line(row), cell.to_string(), name.clone());
            return Err(TableProblem::NoSeparator { line, label, column, separator });
        }
        skipped.remarks.push(format!(
            "no row of column {name} has the separator '{separator}': every image has one label at most"
        ));
    }
    Ok(labels)
}

/// The labels in a cell.
fn parts(row: &StringRecord, cell: &str, separator: char) -> Result<Vec<String>, TableProblem> {
    if is_missing(cell) {
        return Ok(Vec::new());
    }
    if cell.starts_with('[') && cell.ends_with(']') {
        return Err(TableProblem::PrintedList {
            line: line(row),
            label: cell.to_string(),
            separator,
        });
    }
    // A separator after the last label is one of a list without end.
    let list = cell.strip_suffix(separator).unwrap_or(cell);
    let parts = list.split(separator).map(str::trim);
    let parts: Vec<&str> = match separator.is_whitespace() {
        true => parts.filter(|part| !part.is_empty()).collect(),
        false => parts.collect(),
    };
    if parts.iter().any(|part| is_missing(part)) {
        return Err(TableProblem::EmptyLabel {
            line: line(row),
            label: cell.to_string(),
            separator,
        });
    }
    Ok(parts.into_iter().map(ToString::to_string).collect())
}

/// Whether another separator parts `label` into labels that there are.
fn is_list(label: &str, separator: char, known: &BTreeSet<&str>) -> bool {
    OTHERS.iter().filter(|other| **other != separator).any(|other| {
        label.contains(*other) && label.split(*other).all(|part| known.contains(part.trim()))
    })
}

/// The labels of every row: the names of those of `columns` that have a 1.
pub(super) fn in_columns(
    table: &Table,
    columns: &[usize],
    skipped: &mut Skipped,
) -> Result<Vec<Vec<String>>, TableProblem> {
    let mut empty = 0;
    let mut labels = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let mut own = Vec::new();
        for &column in columns {
            let cell = row.get(column).unwrap_or_default();
            match bit(cell) {
                Some(true) => own.push(table.columns[column].clone()),
                Some(false) => {}
                None if is_missing(cell) => empty += 1,
                None => {
                    let (column, cell) = (table.columns[column].clone(), cell.to_string());
                    return Err(TableProblem::NoBit { line: line(row), column, cell });
                }
            }
        }
        labels.push(own);
    }
    if empty > 0 {
        skipped
            .remarks
            .push(format!("{empty} cells of the columns of classes are empty, and are read as 0"));
    }
    Ok(labels)
}
