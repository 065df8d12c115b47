//! The part of a set that a row is for: by a column of names, or by columns that say yes or no.

use std::collections::{BTreeMap, BTreeSet};

use csv::StringRecord;

use super::super::column_names::{SPLITS, normalized};
use super::super::role::Role;
use super::super::skipped::Skipped;
use super::text::Table;
use crate::TableProblem;

/// Names of columns that say yes or no, without case, spaces and punctuation, and the part that yes means.
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
            let name = &table.columns[column];
            let unclear = || TableProblem::UnclearFlag { column: name.clone() };
            let role = meaning(name).ok_or_else(unclear)?;
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
        let is_flag = |column: usize| table.cells(column).all(|cell| flag(cell).is_some());
        let named: Vec<(usize, Role)> = table
            .unused(used)
            .filter_map(|column| Some((column, meaning(&table.columns[column])?)))
            .filter(|(column, _)| is_flag(*column))
            .collect();
        // `valid` alone may be what an image shows.
        let (mut flags, bare): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|(column, _)| is_question(&table.columns[*column]));
        if let (true, Some(column)) = (flags.is_empty(), names_parts(table, used)) {
            let name = &table.columns[column];
            skipped.remarks.push(format!("column {name} says the parts of the set"));
            return Ok(Some(Split::Names(column)));
        }
        for (column, _) in bare.iter().filter(|_| flags.is_empty()) {
            let name = &table.columns[*column];
            skipped.remarks.push(format!(
                "column {name} is not taken for the parts of the set; ?split={name} takes it"
            ));
        }
        // An image for the test is not for validation, too.
        flags.sort_by_key(|(_, role)| std::cmp::Reverse(*role));
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

/// The part that yes means in a column of this name, if it names one: `is_test`, `isTrain`, `is_training_image`, `valid`.
fn meaning(name: &str) -> Option<Role> {
    let name = name.to_lowercase();
    let asked = name.strip_prefix("is_").or_else(|| name.strip_prefix("in_")).unwrap_or(&name);
    known_flag(&name).or_else(|| Role::of(asked))
}

/// Whether the name of a column asks for the part, as `is_test` does. A `valid_image` may be one that is not broken.
fn is_question(name: &str) -> bool {
    let asks = name.to_lowercase().starts_with("is_");
    known_flag(name).is_some() || (asks && meaning(name) != Some(Role::Validation))
}

fn known_flag(name: &str) -> Option<Role> {
    let name = normalized(name);
    FLAGS.iter().find(|(known, _)| *known == name).map(|(_, role)| *role)
}

/// Yes or no; nothing is no.
fn flag(cell: &str) -> Option<bool> {
    match cell.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" | "t" | "yes" | "y" | "x" => Some(true),
        "0" | "0.0" | "false" | "f" | "no" | "n" | "" => Some(false),
        _ => None,
    }
}

/// The only column that, whatever its name, has a part of a set in every row, and training among several.
fn names_parts(table: &Table, used: &[usize]) -> Option<usize> {
    let says = |column: &usize| {
        // Most columns are something else, which their first cell shows.
        let roles: Option<BTreeSet<Role>> = table.cells(*column).map(Role::of).collect();
        roles.is_some_and(|roles| roles.len() > 1 && roles.contains(&Role::Train))
    };
    let columns: Vec<usize> = table.unused(used).filter(says).collect();
    match columns[..] {
        [only] => Some(only),
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
