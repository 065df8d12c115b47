//! A table of images and their labels: a row for each image, as spreadsheets and Kaggle have it.

mod columns;
mod places;
mod rows;
mod several;
mod several_set;
mod split;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::columns::Chosen;
use self::places::Places;
use self::rows::Row;
use self::text::Table;
use super::Found;
use super::files::{Class, set};
use super::role::Role;
use super::skipped::Skipped;
use super::test_split::{Held, split};
use super::untrained::left_out;
use crate::regular_file;
use crate::{Error, TableError, TableProblem};

/// The columns of a table, where their names leave a doubt, and the folder of its images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableColumns {
    /// The column that names the images: paths, names of files, or these without their endings.
    pub image: Option<String>,
    /// The column with the labels.
    pub label: Option<String>,
    /// The character between the labels of one cell: images then have any number of labels, none where a cell is empty.
    /// Tables only.
    pub separator: Option<char>,
    /// In place of a column with labels, a column for each class, in the order of the classes: 1 or `true` where an image
    /// is of the class, 0, `false` or nothing where it is not. Images then have any number of labels. Tables only.
    pub labels: Option<Vec<String>>,
    /// The column that says which part of the set an image is for.
    pub split: Option<String>,
    /// The folder of the images, absolute or relative to the table's folder.
    pub folder: Option<PathBuf>,
}

/// The images that the rows of the table `file` name, with their labels.
///
/// Columns are found by common names, whatever their case, or are those of `columns`. An image is a path, absolute or
/// relative to the folder of the images, or the name of a file anywhere below it, with or without its ending. Without
/// images for `val` and `test`, `held` of the images become the test set.
///
/// With [`TableColumns::separator`] or [`TableColumns::labels`] the set is a multi-label one, and `held` of all images are
/// held back rather than of every class.
///
/// # Errors
/// A table that cannot be read or leaves a doubt, images with several labels where one was expected, or no image that is
/// there.
pub fn table(file: &Path, columns: &TableColumns, held: Held) -> Result<Found, Error> {
    held.check()?;
    let refuse = |problem| Error::from(TableError { file: file.to_path_buf(), problem });
    let unreadable = |source| Error::Unreadable { file: file.to_path_buf(), source };
    let mut table = Table::parse(&regular_file::read(file).map_err(unreadable)?).map_err(refuse)?;
    let mut places = Places::new(file, columns.folder.as_deref())?;
    if !columns::are_known(&table.columns) {
        table.without_header(|cell| places.has(cell));
    }
    let mut skipped = Skipped::default();
    let name = file.display().to_string();
    let chosen = Chosen::of(&table, columns, &mut places, &name, &mut skipped).map_err(refuse)?;
    let rows = rows::read(&table, &chosen, &mut places, &mut skipped).map_err(refuse)?;
    if !chosen.labels.are_several() {
        return found(rows, places.root(), file, held, skipped);
    }
    let (names, column) = (chosen.labels.classes(&table), chosen.labels.columns(&table));
    several_set::found(rows, names, column, (places.root(), file), held, skipped)
}

/// The set of `rows`, whose images lie in `root`.
fn found(
    rows: Vec<Row>,
    root: &Path,
    file: &Path,
    held: Held,
    mut skipped: Skipped,
) -> Result<Found, Error> {
    let of = |role: Role| classes(rows.iter().filter(|row| row.role == role));
    let [train, mut validation, mut test] = Role::ALL.map(of);
    let names: Arc<[String]> = train.iter().map(|class| class.name.clone()).collect();
    if let [only] = &names[..] {
        let problem = TableProblem::OneClass { label: only.clone() };
        return Err(TableError { file: file.to_path_buf(), problem }.into());
    }
    for (classes, role) in [(&mut validation, Role::Validation), (&mut test, Role::Test)] {
        *classes = left_out(std::mem::take(classes), &names, role, file, &mut skipped)?;
    }
    let some = |classes: Vec<Class>| (!classes.is_empty()).then(|| set(root, &names, &classes));
    let (validation, test) = match (some(validation), some(test)) {
        (validation, Some(test)) => (validation, Some(test)),
        (validation, None) => (None, validation),
    };
    if let Some(test) = test {
        return Ok(Found {
            train: set(root, &names, &train),
            validation,
            test,
            held: false,
            skipped,
        });
    }
    let [train, test] = split(train, held, 0)?.map(|part| set(root, &names, &part));
    Ok(Found { train, validation: None, test, held: held.fraction > 0., skipped })
}

/// The classes of some rows: numbers in their order, else names in theirs.
fn classes<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Class> {
    let mut by_label: std::collections::BTreeMap<&str, Vec<String>> =
        std::collections::BTreeMap::new();
    for row in rows {
        for label in &row.labels {
            by_label.entry(label).or_default().push(row.image.clone());
        }
    }
    let classes =
        by_label.into_iter().map(|(name, images)| Class { name: name.to_string(), images });
    in_order(classes.collect(), |class| &class.name)
}

/// Classes that are in the order of their names: numbers in theirs, if all names are such.
fn in_order<T>(mut classes: Vec<T>, name: impl Fn(&T) -> &String) -> Vec<T> {
    let number = |class: &T| name(class).parse::<i64>().ok();
    if classes.iter().all(|class| number(class).is_some()) {
        classes.sort_by_key(number);
    }
    classes
}
