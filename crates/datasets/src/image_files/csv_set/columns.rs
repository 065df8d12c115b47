//! The columns of a table: images, labels and splits, found by the names that people give them.

use std::collections::BTreeSet;

use csv::StringRecord;

use super::super::column_names::{self, FILES, LABELS, SPLITS, normalized};
use super::super::skipped::Skipped;
use super::TableColumns;
use super::places::Places;
use super::split::Split;
use super::text::Table;
use crate::TableProblem;
use crate::first_few::first_few;
use crate::image_endings::is_image;

/// Names of columns of files without their endings, taken where there is none of [`FILES`].
const IDS: [&str; 8] = ["imageid", "imgid", "id", "idcode", "photoid", "uuid", "key", "name"];
/// Rows that are tried where names leave a doubt.
const TRIED: usize = 20;

/// The labels of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Labels {
    /// In one column.
    Column(usize),
    /// A column for each class, with 1 in that of the row's class and 0 in the others.
    OneHot(Vec<usize>),
    /// In the cells of one column, with this separator between them.
    Separated(usize, char),
    /// A column for each class, with 1 in those of the row's classes.
    Columns(Vec<usize>),
}

impl Labels {
    /// Whether a row may have several, or none.
    pub(super) fn are_several(&self) -> bool {
        matches!(self, Labels::Separated(..) | Labels::Columns(_))
    }

    /// The classes, where the columns say them.
    pub(super) fn classes(&self, table: &Table) -> Option<Vec<String>> {
        let Labels::Columns(columns) = self else { return None };
        Some(columns.iter().map(|&column| table.columns[column].clone()).collect())
    }

    /// The names of the columns, for messages.
    pub(super) fn columns(&self, table: &Table) -> String {
        match self {
            Labels::Column(column) | Labels::Separated(column, _) => table.columns[*column].clone(),
            Labels::OneHot(columns) | Labels::Columns(columns) => {
                columns.iter().map(|&column| &*table.columns[column]).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// The columns that are used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) image: usize,
    pub(super) labels: Labels,
    pub(super) split: Option<Split>,
}

impl Chosen {
    /// Chooses the columns of `table`, which is the file `name`.
    pub(super) fn of(
        table: &Table,
        asked: &TableColumns,
        places: &mut Places,
        name: &str,
        skipped: &mut Skipped,
    ) -> Result<Self, TableProblem> {
        let named =
            |name: &Option<String>| name.as_ref().map(|name| position(table, name)).transpose();
        let (image, label) = (named(&asked.image)?, named(&asked.label)?);
        let mut used: Vec<usize> = [image, label].into_iter().flatten().collect();
        let classes = classes(table, asked, &used)?;
        used.extend(classes.iter().flatten());
        let split = match named(&asked.split)? {
            Some(column) if classes.iter().flatten().any(|class| *class == column) => {
                return Err(TableProblem::ColumnTwice { column: table.columns[column].clone() });
            }
            Some(column) => Some(Split::asked(table, column)?),
            None => Split::find(table, &used, skipped)?,
        };
        used.extend(split.iter().flat_map(Split::columns));
        let image = match image {
            Some(image) => image,
            None => self::image(table, &used, places, name)?,
        };
        used.push(image);
        let labels = match (classes, label) {
            (Some(classes), _) => Labels::Columns(classes),
            (None, Some(label)) => Labels::Column(label),
            (None, None) => labels(table, &used, name, skipped)?,
        };
        let labels = match (labels, asked.separator) {
            (Labels::Column(label), Some(separator)) => Labels::Separated(label, separator),
            (Labels::OneHot(_), Some(separator)) => {
                return Err(TableProblem::SeparatorOfColumns { separator });
            }
            (labels, _) => labels,
        };
        Ok(Self { image, labels, split })
    }
}

/// The columns of the classes that were asked for.
fn classes(
    table: &Table,
    asked: &TableColumns,
    used: &[usize],
) -> Result<Option<Vec<usize>>, TableProblem> {
    let Some(names) = &asked.labels else { return Ok(None) };
    let other = [("label", asked.label.is_some()), ("separator", asked.separator.is_some())];
    if let Some((other, _)) = other.into_iter().find(|(_, is_asked)| *is_asked) {
        return Err(TableProblem::TwoWays { other });
    }
    let mut columns = Vec::new();
    for name in names {
        let column = position(table, name)?;
        if used.contains(&column) || columns.contains(&column) {
            return Err(TableProblem::ColumnTwice { column: table.columns[column].clone() });
        }
        columns.push(column);
    }
    Ok(Some(columns))
}

/// Whether one of these is a name that people give to columns.
pub(super) fn are_known(columns: &[String]) -> bool {
    let is_known =
        |name: &str| [&FILES[..], &IDS, &LABELS, &SPLITS].iter().any(|names| names.contains(&name));
    columns.iter().any(|column| is_known(&normalized(column)))
}

/// The column that was asked for by its name.
fn position(table: &Table, name: &str) -> Result<usize, TableProblem> {
    let columns = &table.columns;
    column_names::position(columns, name).ok_or_else(|| TableProblem::NoSuchColumn {
        name: name.to_string(),
        columns: columns.clone(),
    })
}

fn image(
    table: &Table,
    used: &[usize],
    places: &mut Places,
    name: &str,
) -> Result<usize, TableProblem> {
    let mut candidates = table.called(&FILES, used);
    if candidates.is_empty() {
        candidates = table.called(&IDS, used);
    }
    if candidates.is_empty() {
        let is_one = |column: &usize| table.cells(*column).take(TRIED).any(is_image);
        candidates = table.unused(used).filter(is_one).collect();
    }
    if let [only] = candidates[..] {
        return Ok(only);
    }
    if candidates.is_empty() {
        candidates = table.unused(used).collect();
    }
    // The column whose files are there, the first of those that have equally many.
    let mut finds =
        |column: usize| table.cells(column).take(TRIED).filter(|cell| places.has(cell)).count();
    let found: Vec<(usize, usize)> =
        candidates.iter().map(|&column| (finds(column), column)).collect();
    match found.iter().rev().max_by_key(|(count, _)| *count) {
        Some(&(count, column)) if count > 0 => Ok(column),
        _ => Err(doubt("images", "image", table, &candidates, name)),
    }
}

fn doubt(
    what: &'static str,
    key: &'static str,
    table: &Table,
    columns: &[usize],
    name: &str,
) -> TableProblem {
    let columns: Vec<String> = match columns {
        [] => table.columns.clone(),
        _ => columns.iter().map(|&column| table.columns[column].clone()).collect(),
    };
    TableProblem::UnknownColumn { what, key, example: name.to_string(), columns }
}

fn labels(
    table: &Table,
    used: &[usize],
    name: &str,
    skipped: &mut Skipped,
) -> Result<Labels, TableProblem> {
    let mut candidates = table.called(&LABELS, used);
    // Beside x, y is a place.
    if !table.called(&["x"], used).is_empty() {
        candidates.retain(|&column| normalized(&table.columns[column]) != "y");
    }
    let is_index = |column: &usize| {
        let name = normalized(&table.columns[*column]);
        name.is_empty() || name.starts_with("unnamed")
    };
    let mut rest: Vec<usize> = table.unused(used).filter(|column| !is_index(column)).collect();
    let is_remark = |column: &usize| {
        let name = table.columns[*column].to_lowercase();
        name.starts_with("is_") || name.starts_with("has_")
    };
    let (remarks, others): (Vec<usize>, Vec<usize>) = rest.iter().partition(|c| is_remark(c));
    // Where both could be the classes, neither is taken.
    if others.len() > 1 && !(are_one_hot(table, &remarks) && are_one_hot(table, &others)) {
        rest = others;
    }
    match (&candidates[..], &rest[..]) {
        (&[only], _) | ([], &[only]) => Ok(Labels::Column(only)),
        ([], [_, _, ..]) if are_one_hot(table, &rest) => {
            let names: Vec<&str> = rest.iter().map(|&column| &*table.columns[column]).collect();
            let names = first_few(&names);
            skipped.remarks.push(format!("the classes are the columns of 0 and 1: {names}"));
            Ok(Labels::OneHot(rest))
        }
        ([], _) => Err(doubt("labels", "label", table, &rest, name)),
        ([first, others @ ..], _) => {
            if !others.iter().all(|&other| say_the_same(table, *first, other)) {
                return Err(doubt("labels", "label", table, &candidates, name));
            }
            // Names are better than the numbers that they have.
            let named = candidates
                .iter()
                .find(|&&column| table.cells(column).any(|cell| cell.parse::<f64>().is_err()));
            Ok(Labels::Column(*named.unwrap_or(first)))
        }
    }
}

/// Of ten rows with a column for each class, those at least that are of one. Columns that stand for properties of an image
/// have more rows with none of them.
const OF_A_CLASS: usize = 9;

/// Whether columns stand for classes: they hold 0 and 1, and nearly every row has a 1.
fn are_one_hot(table: &Table, columns: &[usize]) -> bool {
    let has_one = |row: &&StringRecord| {
        columns.iter().any(|&column| row.get(column).and_then(bit) == Some(true))
    };
    columns.len() > 1
        && columns.iter().all(|&column| table.cells(column).all(|cell| bit(cell).is_some()))
        && 10 * table.rows.iter().filter(has_one).count() >= OF_A_CLASS * table.rows.len()
}

/// A cell of a column that stands for a class.
pub(super) fn bit(cell: &str) -> Option<bool> {
    match cell {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        number => match number.parse() {
            Ok(1.0_f64) => Some(true),
            Ok(0.0_f64) => Some(false),
            _ => None,
        },
    }
}

/// Whether the values of two columns stand for each other.
fn say_the_same(table: &Table, one: usize, other: usize) -> bool {
    let pairs: BTreeSet<(&str, &str)> = table.cells(one).zip(table.cells(other)).collect();
    let ones: BTreeSet<&str> = pairs.iter().map(|pair| pair.0).collect();
    let others: BTreeSet<&str> = pairs.iter().map(|pair| pair.1).collect();
    pairs.len() == ones.len() && pairs.len() == others.len()
}
