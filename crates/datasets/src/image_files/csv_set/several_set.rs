//! The sets of rows that may have several labels. Images stand in the order of the rows.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::super::role::Role;
use super::super::skipped::Skipped;
use super::super::test_split::Held;
use super::super::{Found, ImageFiles, Places};
use super::rows::Row;
use super::{TableError, in_order};
use crate::first_few::first_few;
use crate::label_lists::LabelLists;
use crate::{Error, LayoutError, TableProblem};

/// The set of `rows`, whose images lie in `root`. Its classes are `names`, or all labels of its training rows. `held` of
/// all images become the test set where there is none: a class of its own part would need an image of one class.
pub(super) fn found(
    rows: Vec<Row>,
    names: Option<Vec<String>>,
    column: String,
    (root, file): (&Path, &Path),
    held: Held,
    mut skipped: Skipped,
) -> Result<Found, Error> {
    let refuse = |problem| Error::from(TableError { file: file.to_path_buf(), problem });
    let of = |role: Role| rows.iter().filter(|row| row.role == role).collect::<Vec<&Row>>();
    let [train, validation, test] = Role::ALL.map(of);
    let trained: std::collections::BTreeSet<&str> =
        train.iter().flat_map(|row| &row.labels).map(String::as_str).collect();
    if trained.is_empty() {
        return Err(refuse(TableProblem::NoLabels { column }));
    }
    if let ([only], true) = (
        &trained.iter().collect::<Vec<_>>()[..],
        train.iter().all(|row| !row.labels.is_empty())
            && names.as_ref().is_none_or(|names| names.len() == 1),
    ) {
        return Err(refuse(TableProblem::OneClass { label: only.to_string() }));
    }
    let names = names.unwrap_or_else(|| {
        in_order(trained.iter().map(ToString::to_string).collect(), |name| name)
    });
    let classes = Classes {
        numbers: names
            .iter()
            .enumerate()
            .map(|(number, name)| (name.as_str(), number as u32))
            .collect(),
        names: names.iter().cloned().collect(),
        root,
        file,
    };
    let mut some = |rows: Vec<&Row>, role| -> Result<Option<Arc<ImageFiles>>, Error> {
        if rows.is_empty() {
            return Ok(None);
        }
        classes.check(&rows, role, &mut skipped)?;
        Ok(Some(classes.set(&rows)))
    };
    let validation = some(validation, Role::Validation)?;
    let (validation, test) = match (validation, some(test, Role::Test)?) {
        (validation, Some(test)) => (validation, Some(test)),
        (validation, None) => (None, validation),
    };
    if let Some(test) = test {
        return Ok(Found { train: classes.set(&train), validation, test, held: false, skipped });
    }
    let is_held = held.among(train.iter().map(|row| row.image.as_str()));
    let mut parts = [Vec::new(), Vec::new()];
    train.iter().zip(is_held).for_each(|(row, is_held)| parts[usize::from(is_held)].push(*row));
    let [train, test] = parts.map(|rows| classes.set(&rows));
    Ok(Found { train, validation: None, test, held: held.fraction > 0., skipped })
}

/// The classes of a set, and its place.
struct Classes<'a> {
    numbers: HashMap<&'a str, u32>,
    names: Arc<[String]>,
    root: &'a Path,
    file: &'a Path,
}

impl Classes<'_> {
    /// Says which labels of rows to measure on are those of no class. The labels are ignored; their images may have others.
    fn check(&self, rows: &[&Row], role: Role, skipped: &mut Skipped) -> Result<(), Error> {
        let mut unknown = BTreeMap::<&str, usize>::new();
        let labels = || rows.iter().flat_map(|row| &row.labels).map(String::as_str);
        labels()
            .filter(|label| !self.numbers.contains_key(label))
            .for_each(|label| *unknown.entry(label).or_default() += 1);
        if unknown.is_empty() {
            return Ok(());
        }
        let classes: Vec<String> = unknown.keys().map(ToString::to_string).collect();
        let part = role.prose();
        if !labels().any(|label| self.numbers.contains_key(label)) {
            return Err(LayoutError::UntrainedClass {
                classes,
                part,
                root: self.file.to_path_buf(),
            }
            .into());
        }
        let (count, names) = (unknown.values().sum::<usize>(), first_few(&classes));
        skipped.remarks.push(format!(
            "{count} labels of the {part} are ignored, since the training set has none of their classes: {names}"
        ));
        Ok(())
    }

    fn set(&self, rows: &[&Row]) -> Arc<ImageFiles> {
        let mut lists = LabelLists::default();
        for row in rows {
            let labels: Vec<u32> = row
                .labels
                .iter()
                .filter_map(|label| self.numbers.get(label.as_str()).copied())
                .collect();
            lists.push(&labels);
        }
        Arc::new(ImageFiles {
            root: self.root.to_path_buf(),
            names: rows.iter().map(|row| row.image.as_str()).collect(),
            labels: lists.firsts(),
            label_lists: Some(lists),
            class_names: Arc::clone(&self.names),
            places: Places::Files,
        })
    }
}
