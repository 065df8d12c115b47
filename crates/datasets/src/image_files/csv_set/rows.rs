//! The rows of a table as images with their labels.

use std::collections::{BTreeSet, HashMap};

use csv::StringRecord;

use super::super::label_texts::{LONGEST, is_missing, remark_alike};
use super::super::role::Role;
use super::super::skipped::Skipped;
use super::columns::{Chosen, Labels, bit};
use super::places::{Place, Places};
use super::several;
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
    /// One, but where rows may have several.
    pub(super) labels: Vec<String>,
    pub(super) role: Role,
    line: u64,
}

/// Reads the rows whose image is there and that have a label, or need none.
pub(super) fn read(
    table: &Table,
    chosen: &Chosen,
    places: &mut Places,
    skipped: &mut Skipped,
) -> Result<Vec<Row>, TableProblem> {
    let labels = labels(table, &chosen.labels, skipped)?;
    skipped.remarks.extend(remark_alike(labels.iter().flatten().map(String::as_str)));
    let are_several = chosen.labels.are_several();
    let (mut rows, mut missing, mut unlabelled) = (Vec::new(), Vec::new(), 0);
    for (row, labels) in table.rows.iter().zip(labels) {
        let cell = row.get(chosen.image).unwrap_or_default();
        let role = chosen.split.as_ref().and_then(|split| split.role(row));
        if let Some(line) = table.open_quote(row, chosen.image, |cell| places.has(cell)) {
            return Err(TableProblem::OpenQuote { line });
        }
        if labels.is_empty() {
            unlabelled += 1;
            if !are_several {
                continue;
            }
        }
        match places.find(cell, role) {
            Place::Missing => missing.push(cell),
            Place::Doubt(first, second) => {
                let (line, image) = (line(row), cell.to_string());
                return Err(TableProblem::Ambiguous { line, image, first, second });
            }
            Place::File(image) => {
                let role = role.unwrap_or(Role::Train);
                rows.push(Row { image, labels, role, line: line(row) });
            }
        }
    }
    let of = table.rows.len();
    if let (true, Some(first)) = (rows.is_empty(), missing.first()) {
        let (image, folder) = (first.to_string(), places.root().to_path_buf());
        return Err(TableProblem::NothingFound { rows: of, image, folder });
    }
    if rows.is_empty() {
        return Err(TableProblem::NoLabels { column: chosen.labels.columns(table) });
    }
    if unlabelled > 0 {
        let remark = if are_several { "are images of no class" } else { "are left out" };
        skipped.remarks.push(format!("{unlabelled} of {of} rows have no label, and {remark}"));
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

/// The labels of every row, each once and in order.
fn labels(
    table: &Table,
    labels: &Labels,
    skipped: &mut Skipped,
) -> Result<Vec<Vec<String>>, TableProblem> {
    let are_several = labels.are_several();
    let mut labels: Vec<Vec<String>> = match labels {
        Labels::Column(column) => table.cells(*column).map(present).collect(),
        Labels::OneHot(columns) => {
            table.rows.iter().map(|row| one_hot(table, columns, row)).collect::<Result<_, _>>()?
        }
        Labels::Separated(column, separator) => {
            several::in_cells(table, *column, *separator, skipped)?
        }
        Labels::Columns(columns) => several::in_columns(table, columns, skipped)?,
    };
    // Spreadsheets and pandas write whole numbers with a point where a cell of the column is empty.
    let whole = |label: &str| label.strip_suffix(".0").unwrap_or(label).to_string();
    if labels.iter().flatten().all(|label| whole(label).parse::<i64>().is_ok()) {
        labels.iter_mut().flatten().for_each(|label| *label = whole(label));
    }
    for labels in &mut labels {
        labels.sort_unstable();
        labels.dedup();
    }
    for (row, labels) in table.rows.iter().zip(&labels) {
        if let Some(label) = labels.iter().find(|label| label.len() > LONGEST) {
            let (line, bytes, start) = (line(row), label.len(), label.chars().take(40).collect());
            return Err(TableProblem::LongLabel { line, bytes, start });
        }
    }
    if are_several {
        return Ok(labels);
    }
    let known: BTreeSet<&str> = labels.iter().flatten().map(String::as_str).collect();
    let single =
        |labels: &'_ Vec<String>| labels.first().is_some_and(|label| is_several(label, &known));
    let mut several = table.rows.iter().zip(&labels).filter(|(_, labels)| single(labels));
    match several.next() {
        None => Ok(labels),
        Some((row, several_labels)) => {
            let (line, label) = (line(row), several_labels[0].clone());
            let rows = 1 + several.count();
            Err(TableProblem::SeveralLabels {
                line,
                label,
                rows,
                remedy: "?separator=|".to_string(),
            })
        }
    }
}

/// The label in a cell, none where a program wrote another thing for that.
fn present(cell: &str) -> Vec<String> {
    if is_missing(cell) { Vec::new() } else { vec![cell.to_string()] }
}

/// The column with a 1 in a row of a table with a column for each class.
fn one_hot(
    table: &Table,
    columns: &[usize],
    row: &StringRecord,
) -> Result<Vec<String>, TableProblem> {
    let is_set = |column: &&usize| row.get(**column).and_then(bit) == Some(true);
    let set: Vec<&str> =
        columns.iter().filter(is_set).map(|&column| table.columns[column].as_str()).collect();
    match set[..] {
        [] => Ok(Vec::new()),
        [only] => Ok(vec![only.to_string()]),
        _ => {
            let names: Vec<&str> =
                columns.iter().map(|&column| table.columns[column].as_str()).collect();
            let (line, label) = (line(row), set.join(", "));
            let remedy = format!("?labels={}", names.join(","));
            Err(TableProblem::SeveralLabels { line, label, rows: 1, remedy })
        }
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
            Some(&place) if kept[place].labels == row.labels && kept[place].role == row.role => {
                repeated += 1
            }
            Some(&place) => conflicts.push((place, row)),
        }
    }
    if let Some((place, second)) = conflicts.first() {
        let first = &kept[*place];
        let said = |row: &Row| match (first.labels == second.labels, &row.labels[..]) {
            (true, _) => format!("in the {}", row.role.prose()),
            (false, []) => "of no class".to_string(),
            (false, labels) => format!("'{}'", labels.join(", ")),
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
