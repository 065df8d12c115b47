//! From the rows of all files to the parts of a set: which row is for which, and which has a label.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::archives::Archives;
use super::super::label_texts::remark_alike;
use super::super::names::Names;
use super::super::role::Role;
use super::super::skipped::Skipped;
use super::super::test_split::Held;
use super::super::{Found, ImageFiles, Places};
use super::labels::Classes;
use super::rows::Row;
use crate::first_few::first_few;
use crate::{Error, LayoutError, ParquetFileError, ParquetProblem};

/// A row with the part of the set that its file is for.
pub(super) struct Image {
    pub(super) row: Row,
    pub(super) role: Option<Role>,
}

/// The rows of all files.
pub(super) struct All {
    /// The folder that the names of files are relative to.
    root: PathBuf,
    pub(super) images: Vec<Image>,
    /// The column of the labels.
    pub(super) column: String,
    /// The column of the parts, and whether it was asked for.
    pub(super) split: Option<String>,
    pub(super) is_split_asked: bool,
    /// The names of the classes, with the file that has them.
    pub(super) names: Option<(String, Vec<String>)>,
    /// Number of rows without an image.
    pub(super) empty: usize,
    /// The paths of images that are nowhere.
    pub(super) missing: Vec<String>,
}

/// An image with its class.
#[derive(Clone, Copy)]
struct Labelled<'a> {
    row: &'a Row,
    role: Role,
    label: u32,
}

impl All {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            images: Vec::new(),
            column: String::new(),
            split: None,
            is_split_asked: false,
            names: None,
            empty: 0,
            missing: Vec::new(),
        }
    }

    /// The set of all rows, whose images lie in `spool`. Messages name it by `path`.
    pub(super) fn found(
        mut self,
        path: &Path,
        spool: File,
        held: Held,
        mut skipped: Skipped,
    ) -> Result<Found, Error> {
        let refuse = |problem| Error::from(ParquetFileError { file: path.to_path_buf(), problem });
        self.remark_images(&mut skipped).map_err(refuse)?;
        self.split_by_column(&mut skipped).map_err(refuse)?;
        let cells = self
            .images
            .iter()
            .map(|Image { row, role }| (&row.label, role.is_none_or(|role| role == Role::Train)));
        let known = self.names.as_ref().map(|(_, names)| &names[..]);
        let classes = Classes::of(cells, known, &self.column).map_err(refuse)?;
        skipped.remarks.extend(remark_alike(classes.names.iter().map(String::as_str)));
        let images = self.labelled(&classes, &mut skipped).map_err(refuse)?;
        let names = classes.names;
        if let [only] = &names[..] {
            return Err(refuse(ParquetProblem::OneClass { label: only.clone() }));
        }
        let (images, names) = match known {
            Some(_) => (images, names),
            None => trained(images, &names, path, &mut skipped)?,
        };
        let of = |role: Role| {
            images.iter().copied().filter(|image| image.role == role).collect::<Vec<Labelled<'_>>>()
        };
        let [train, validation, test] = Role::ALL.map(of);
        let names: Arc<[String]> = names.into();
        let archives = Arc::new(Archives::of_open(spool));
        let set = |images: Vec<Labelled<'_>>| {
            let place = |image: &Labelled<'_>| (0, image.row.place.0, image.row.place.1);
            Arc::new(ImageFiles {
                root: self.root.clone(),
                names: images.iter().map(|image| image.row.name.as_str()).collect::<Names>(),
                labels: images.iter().map(|image| image.label).collect(),
                label_lists: None,
                class_names: Arc::clone(&names),
                places: Places::Archives {
                    archives: Arc::clone(&archives),
                    places: images.iter().map(place).collect(),
                },
            })
        };
        let some = |images: Vec<Labelled<'_>>| (!images.is_empty()).then(|| set(images));
        let (validation, test) = match (some(validation), some(test)) {
            (validation, Some(test)) => (validation, Some(test)),
            (validation, None) => (None, validation),
        };
        if let Some(test) = test {
            return Ok(Found { train: set(train), validation, test, held: false, skipped });
        }
        if held.fraction > 0. && each_its_own(&train) {
            return Err(refuse(ParquetProblem::EachItsOwn { column: self.column.clone() }));
        }
        let (train, test) = split(train, held);
        let held = held.fraction > 0.;
        Ok(Found { train: set(train), validation: None, test: set(test), held, skipped })
    }

    /// Says which rows have no image.
    fn remark_images(&self, skipped: &mut Skipped) -> Result<(), ParquetProblem> {
        let rows = self.images.len() + self.empty + self.missing.len();
        if self.images.is_empty() {
            let missing = self.missing.first().cloned();
            return Err(match missing {
                Some(image) => ParquetProblem::NothingFound { rows, image },
                None => ParquetProblem::NoImages { rows },
            });
        }
        if self.empty > 0 {
            let empty = self.empty;
            skipped.remarks.push(format!("{empty} of {rows} rows have no image, and are left out"));
        }
        if !self.missing.is_empty() {
            let (count, names) = (self.missing.len(), first_few(&self.missing));
            skipped.remarks.push(format!(
                "{count} of {rows} rows name images that are not there, and are left out: {names}"
            ));
        }
        Ok(())
    }

    /// Gives each row the part that its cell of the column of parts names.
    fn split_by_column(&mut self, skipped: &mut Skipped) -> Result<(), ParquetProblem> {
        let Some(column) = self.split.clone() else { return Ok(()) };
        let mut others: BTreeMap<&str, usize> = BTreeMap::new();
        for image in &self.images {
            let value = image.row.split.as_deref().unwrap_or_default();
            if Role::of(value).is_none() {
                *others.entry(value).or_default() += 1;
            }
        }
        let unknown: usize = others.values().sum();
        if unknown == self.images.len() && !self.is_split_asked {
            let values = "its values are not train, val or test";
            skipped.remarks.push(format!("column {column} is ignored: {values}"));
            return Ok(());
        }
        if unknown > 0 {
            let values = others.keys().map(|value| format!("'{value}'")).collect();
            return Err(ParquetProblem::UnknownSplit { column, values });
        }
        for image in &mut self.images {
            image.role = image.row.split.as_deref().and_then(Role::of);
        }
        if self.images.iter().all(|image| image.role != Some(Role::Train)) {
            return Err(ParquetProblem::NoTraining { column });
        }
        Ok(())
    }

    /// The rows that have a label.
    fn labelled(
        &self,
        classes: &Classes,
        skipped: &mut Skipped,
    ) -> Result<Vec<Labelled<'_>>, ParquetProblem> {
        let mut labelled = Vec::new();
        for role in Role::ALL {
            let rows = self.images.iter().filter(|image| image.role.unwrap_or(Role::Train) == role);
            let before = labelled.len();
            let mut unlabelled = 0;
            for Image { row, .. } in rows {
                match classes.number(&row.label) {
                    Some(label) => labelled.push(Labelled { row, role, label }),
                    None => unlabelled += 1,
                }
            }
            let (count, part) = (labelled.len() - before, role.prose());
            match (role, count, unlabelled) {
                (_, _, 0) => {}
                (Role::Train, 0, _) => {
                    return Err(ParquetProblem::NoLabels { column: self.column.clone() });
                }
                (_, 0, _) => skipped.remarks.push(format!(
                    "the {part} is ignored: none of its {unlabelled} images has a label"
                )),
                _ => skipped.remarks.push(format!(
                    "{unlabelled} of {} images of the {part} have no label, and are left out",
                    count + unlabelled
                )),
            }
        }
        Ok(labelled)
    }
}

/// The images whose classes the training set has, and these classes.
///
/// # Errors
/// A part none of whose images has such a class.
fn trained<'a>(
    images: Vec<Labelled<'a>>,
    names: &[String],
    path: &Path,
    skipped: &mut Skipped,
) -> Result<(Vec<Labelled<'a>>, Vec<String>), Error> {
    let is_train = |image: &&Labelled<'_>| image.role == Role::Train;
    let known: BTreeSet<u32> = images.iter().filter(is_train).map(|image| image.label).collect();
    for role in [Role::Validation, Role::Test] {
        let own = || images.iter().filter(|image| image.role == role);
        let unknown: BTreeSet<u32> =
            own().map(|image| image.label).filter(|label| !known.contains(label)).collect();
        if unknown.is_empty() {
            continue;
        }
        let classes: Vec<String> =
            unknown.iter().map(|&label| names[label as usize].clone()).collect();
        let left_out = own().filter(|image| unknown.contains(&image.label)).count();
        if left_out == own().count() {
            let (part, root) = (role.prose(), path.to_path_buf());
            return Err(LayoutError::UntrainedClass { classes, part, root }.into());
        }
        skipped.remarks.push(super::super::untrained::remark(&classes, left_out, role));
    }
    // Numbered again, without the classes that are left out.
    let kept = images.into_iter().filter(|image| known.contains(&image.label));
    let number = |label: u32| known.range(..label).count() as u32;
    let images = kept.map(|image| Labelled { label: number(image.label), ..image }).collect();
    Ok((images, known.iter().map(|&label| names[label as usize].clone()).collect()))
}

/// Whether every image has a class of its own, so that its label is rather its number or name.
fn each_its_own(images: &[Labelled<'_>]) -> bool {
    let labels: BTreeSet<u32> = images.iter().map(|image| image.label).collect();
    labels.len() == images.len()
}

/// Splits every class by the digests of its images, so that equal ones are on one side wherever they lie. A class of one
/// image has none in the test set.
fn split(images: Vec<Labelled<'_>>, held: Held) -> (Vec<Labelled<'_>>, Vec<Labelled<'_>>) {
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, image) in images.iter().enumerate() {
        members.entry(image.label).or_default().push(index);
    }
    let mut is_held = vec![false; images.len()];
    for members in members.values() {
        let digests = members.iter().map(|&index| images[index].row.content.as_str());
        for (&index, held) in members.iter().zip(held.among(digests)) {
            is_held[index] = held;
        }
    }
    let mut is_held = is_held.into_iter();
    images.into_iter().partition(|_| !is_held.next().expect("one for each"))
}
