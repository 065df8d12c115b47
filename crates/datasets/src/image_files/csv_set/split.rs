//! The part of a set that a row is for: by a column of names, or by columns that say yes or no.

use std::collections::BTreeMap;

use csv::StringRecord;

use super::super::column_names::{SPLITS, normalized};
use super::super::role::Role;
use super::super::skipped::Skipped;
use super::text::Table;
use crate::TableProblem;

/// Names of columns that say yes or no, and the part that yes means. An image for the test is not for validation, too.
const FLAGS: [(&str, Role); 6] = [
    ("istest", Role::Test),
    ("isvalid", Role::Validation),
    ("isval", Role::Validation),
    ("isvalidation", Role::Validation),
    ("istrain", Role::Train),
    ("istraining", Role::Train),
];

/// The columns that say the part of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// A column of names.
    Names(usize),
    /// Columns that say yes or no, with the part that yes means, the first one first.
    Flags(Vec<(usize, Role)>),
}

impl Split {
    /// The column that was asked for.
    pub(super) fn asked(table: &Table, column: usize) -> Result<Self, TableProblem> {
        let others = unknown(table, column);
        if others.is_empty() {
            return Ok(Split::Names(column));
        }
        if table.cells(column).all(|cell| flag(cell).is_some()) {
            let role = meaning(&table.columns[column]).unwrap_or(Role::Validation);
            return Ok(Split::Flags(vec![(column, role)]));
        }
        Err(refused(table, column, others))
    }

    /// The column whose values name parts of a set; else those that say yes or no. A column with no part at all is another
    /// thing, such as the number of a fold.
    pub(super) fn find(
        table: &Table,
        used: &[usize],
        skipped: &mut Skipped,
    ) -> Result<Option<Self>, TableProblem> {
        for column in table.called(&SPLITS, used) {
            let others = unknown(table, column);
            if others.is_empty() {
                return Ok(Some(Split::Names(column)));
            }
            if others.values().sum::<usize>() < table.rows.len() {
                return Err(refused(table, column, others));
            }
            let name = &table.columns[column];
            skipped
                .remarks
                .push(format!("column {name} is ignored: its values are not train, val or test"));
        }
        let flags: Vec<(usize, Role)> = FLAGS
            .iter()
            .flat_map(|(name, role)| table.called(&[*name], used).into_iter().zip([*role]))
            .filter(|(column, _)| table.cells(*column).all(|cell| flag(cell).is_some()))
            .collect();
        Ok((!flags.is_empty()).then_some(Split::Flags(flags)))
    }

    /// All columns of it, one at least.
    pub(super) fn columns(&self) -> Vec<usize> {
        match self {
            Split::Names(column) => vec![*column],
            Split::Flags(flags) => flags.iter().map(|(column, _)| *column).collect(),
        }
    }

    /// The part that `row` is for, if it says one.
    pub(super) fn role(&self, row: &StringRecord) -> Option<Role> {
        let cell = |column: usize| row.get(column).unwrap_or_default();
        match self {
            Split::Names(column) => Role::of(cell(*column)),
            Split::Flags(flags) => {
                let set = flags.iter().find(|(column, _)| flag(cell(*column)) == Some(true));
                let is_of_training = flags.iter().any(|(_, role)| *role == Role::Train);
                let clear = if is_of_training { Role::Validation } else { Role::Train };
                Some(set.map_or(clear, |(_, role)| *role))
            }
        }
    }
}

/// The part that yes means in a column of this name.
fn meaning(name: &str) -> Option<Role> {
    let name = normalized(name);
    FLAGS.iter().find(|(flag, _)| *flag == name).map(|(_, role)| *role)
}

/// Yes or no; nothing is no.
fn flag(cell: &str) -> Option<bool> {
    match cell.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" | "t" | "yes" | "y" => Some(true),
        "0" | "0.0" | "false" | "f" | "no" | "n" | "" => Some(false),
        _ => None,
    }
}

/// The values of a column that are no parts of a set, with their numbers of rows.
fn unknown(table: &Table, column: usize) -> BTreeMap<String, usize> {
    let mut others = BTreeMap::new();
    for value in table.cells(column).filter(|value| Role::of(value).is_none()) {
        *others.entry(value.to_string()).or_default() += 1;
    }
    others
}

fn refused(table: &Table, column: usize, others: BTreeMap<String, usize>) -> TableProblem {
    let values = others.into_iter().map(|(value, rows)| {
        let rows = if rows == 1 { "1 row".to_string() } else { format!("{rows} rows") };
        format!("'{value}' in {rows}")
    });
    TableProblem::UnknownSplit { column: table.columns[column].clone(), values: values.collect() }
}
