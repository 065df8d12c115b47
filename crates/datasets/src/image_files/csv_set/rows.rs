//! The rows of a table as images with one label each.

use std::collections::{BTreeSet, HashMap};

use csv::StringRecord;

use super::super::label_texts::{LONGEST, is_missing, remark_alike};
use super::super::role::Role;
use super::super::skipped::Skipped;
use super::columns::{Chosen, Labels, bit};
use super::places::{Place, Places};
use super::text::{Table, line};
use crate::TableProblem;
use crate::first_few::first_few;

/// Separators of labels in a cell, where the parts are labels of other rows. The first is none in any name.
const SEPARATORS: [char; 4] = ['|', ';', ',', ' '];

/// An image of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Its name relative to the folder of the images, or its path.
    pub(super) image: String,
    pub(super) label: String,
    pub(super) role: Role,
    line: u64,
}

/// Reads the rows that have a label and whose image is there.
pub(super) fn read(
    table: &Table,
    chosen: &Chosen,
    places: &mut Places,
    skipped: &mut Skipped,
) -> Result<Vec<Row>, TableProblem> {
    let labels = labels(table, &chosen.labels)?;
    skipped.remarks.extend(remark_alike(labels.iter().map(String::as_str)));
    let (mut rows, mut missing, mut unlabelled) = (Vec::new(), Vec::new(), 0);
    for (row, label) in table.rows.iter().zip(labels) {
        let cell = row.get(chosen.image).unwrap_or_default();
        let role = chosen.split.as_ref().and_then(|split| split.role(row));
        if let Some(line) = table.open_quote(row, chosen.image, |cell| places.has(cell)) {
            return Err(TableProblem::OpenQuote { line });
        }
        if label.is_empty() {
            unlabelled += 1;
            continue;
        }
        match places.find(cell, role) {
            Place::Missing => missing.push(cell),
            Place::Doubt(first, second) => {
                let (line, image) = (line(row), cell.to_string());
                return Err(TableProblem::Ambiguous { line, image, first, second });
            }
            Place::File(image) => {
                rows.push(Row { image, label, role: role.unwrap_or(Role::Train), line: line(row) });
            }
        }
    }
    let of = table.rows.len();
    if let (true, Some(first)) = (rows.is_empty(), missing.first()) {
        let (image, folder) = (first.to_string(), places.root().to_path_buf());
        return Err(TableProblem::NothingFound { rows: of, image, folder });
    }
    if rows.is_empty() {
        let column = match &chosen.labels {
            Labels::Column(column) => table.columns[*column].clone(),
            Labels::OneHot(columns) => {
                columns.iter().map(|&column| &*table.columns[column]).collect::<Vec<_>>().join(", ")
            }
        };
        return Err(TableProblem::NoLabels { column });
    }
    if unlabelled > 0 {
        skipped.remarks.push(format!("{unlabelled} of {of} rows have no label, and are left out"));
    }
    if !missing.is_empty() {
        let (count, names) = (missing.len(), first_few(&missing));
        skipped.remarks.push(format!(
            "{count} of {of} rows name images that are not there, and are left out: {names}"
        ));
    }
    let rows = once(rows, skipped)?;
    check_training(table, chosen, &rows)?;
    Ok(rows)
}

/// The label of every row; empty where it has none.
fn labels(table: &Table, labels: &Labels) -> Result<Vec<String>, TableProblem> {
    let labels: Vec<String> = match labels {
        Labels::Column(column) => table.cells(*column).map(present).collect(),
        Labels::OneHot(columns) => {
            table.rows.iter().map(|row| one_hot(table, columns, row)).collect::<Result<_, _>>()?
        }
    };
    // Spreadsheets and pandas write whole numbers with a point where a cell of the column is empty.
    let whole = |label: &str| label.strip_suffix(".0").unwrap_or(label).to_string();
    let is_whole = |label: &String| label.is_empty() || whole(label).parse::<i64>().is_ok();
    let labels: Vec<String> = match labels.iter().all(is_whole) {
        true => labels.iter().map(|label| whole(label)).collect(),
        false => labels,
    };
    let mut rows = table.rows.iter().zip(&labels);
    if let Some((row, label)) = rows.find(|(_, label)| label.len() > LONGEST) {
        let (line, bytes, start) = (line(row), label.len(), label.chars().take(40).collect());
        return Err(TableProblem::LongLabel { line, bytes, start });
    }
    let known: BTreeSet<&str> = labels.iter().map(String::as_str).collect();
    let mut several = table.rows.iter().zip(&labels).filter(|(_, label)| is_several(label, &known));
    match several.next() {
        None => Ok(labels),
        Some((row, label)) => {
            let (line, label, rows) = (line(row), label.clone(), 1 + several.count());
            Err(TableProblem::SeveralLabels { line, label, rows })
        }
    }
}

/// The text of a cell with a label, empty where a program wrote another thing for none.
fn present(cell: &str) -> String {
    if is_missing(cell) { String::new() } else { cell.to_string() }
}

/// The column with a 1 in a row of a table with a column for each class.
fn one_hot(table: &Table, columns: &[usize], row: &StringRecord) -> Result<String, TableProblem> {
    let is_set = |column: &&usize| row.get(**column).and_then(bit) == Some(true);
    let set: Vec<&str> =
        columns.iter().filter(is_set).map(|&column| table.columns[column].as_str()).collect();
    match set[..] {
        [] => Ok(String::new()),
        [only] => Ok(only.to_string()),
        _ => Err(TableProblem::SeveralLabels { line: line(row), label: set.join(", "), rows: 1 }),
    }
}

/// Whether a cell is a list of labels.
fn is_several(label: &str, known: &BTreeSet<&str>) -> bool {
    let is_list = |separator: &char| {
        let parts: Vec<&str> =
            label.split(*separator).map(str::trim).filter(|part| !part.is_empty()).collect();
        parts.len() > 1 && (*separator == '|' || parts.iter().all(|part| known.contains(part)))
    };
    (label.starts_with('[') && label.ends_with(']')) || SEPARATORS.iter().any(is_list)
}

/// Every image once, by its first row.
fn once(rows: Vec<Row>, skipped: &mut Skipped) -> Result<Vec<Row>, TableProblem> {
    let mut first: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Row> = Vec::new();
    let (mut repeated, mut conflicts) = (0, Vec::new());
    for row in rows {
        match first.get(&row.image) {
            None => {
                first.insert(row.image.clone(), kept.len());
                kept.push(row);
            }
            Some(&place) if kept[place].label == row.label && kept[place].role == row.role => {
                repeated += 1
            }
            Some(&place) => conflicts.push((place, row)),
        }
    }
    if let Some((place, second)) = conflicts.first() {
        let first = &kept[*place];
        let said = |row: &Row| match first.label == second.label {
            true => format!("in the {}", row.role.prose()),
            false => format!("'{}'", row.label),
        };
        return Err(TableProblem::Conflict {
            image: first.image.clone(),
            first: said(first),
            first_line: first.line,
            second: said(second),
            second_line: second.line,
            images: conflicts.iter().map(|(place, _)| place).collect::<BTreeSet<_>>().len(),
        });
    }
    if repeated > 0 {
        skipped
            .remarks
            .push(format!("{repeated} rows say again what another row says, and are ignored"));
    }
    Ok(kept)
}

fn check_training(table: &Table, chosen: &Chosen, rows: &[Row]) -> Result<(), TableProblem> {
    let has = |role: Role| rows.iter().any(|row| row.role == role);
    match &chosen.split {
        Some(split) if !has(Role::Train) => {
            let part = if has(Role::Test) { "test" } else { "val" };
            let columns = split.columns().into_iter().map(|column| table.columns[column].clone());
            let column = columns.collect::<Vec<_>>().join(" and ");
            Err(TableProblem::NoTraining { column, part })
        }
        _ => Ok(()),
    }
}
