//! Images in Parquet files, as Hugging Face's `datasets` and its hub have them: a row for each image, with its bytes.
//!
//! A page of Parquet is unpacked as a whole, so no image can be read at its place. The images are copied once, as they are
//! encoded, into one file without a name (`spool.rs`), and read there as those of archives are read.

mod cells;
mod columns;
mod features;
mod fields;
mod footer;
mod labels;
mod layout;
mod numbered;
mod page_header;
mod pages;
mod parts;
mod rows;
mod spool;
#[cfg(test)]
mod tests;
mod thrift;
mod unpack;

use std::path::{Path, PathBuf};

use self::columns::Chosen;
use self::layout::Part;
use self::parts::{All, Image};
use self::rows::{Opened, Rows};
use self::spool::Spool;
use super::role::Role;
use super::skipped::Skipped;
use super::test_split::Held;
use super::{Found, TableColumns};
use crate::{Error, ParquetFileError, ParquetProblem};

/// The images in the Parquet file `path`, or in those of the folder `path`: directly in it, in folders for the parts, in
/// `data`, or in the only folder that has any.
///
/// The name of a file before the first `-` or `.`, or that of its folder, says which part of the set it is for. Columns are
/// found by their types and by common names, or are those of `columns`. The images are copied into a file without a name in
/// the folder `spool`, which is gone when the set is. Without images for validation and test, `held` of the images become
/// the test set; a class of one image has none there.
///
/// # Errors
/// A file that cannot be read or is damaged, a column that leaves a doubt, images with several labels, no image, or a
/// `spool` that is full.
pub fn parquet(
    path: &Path,
    columns: &TableColumns,
    held: Held,
    spool: &Path,
) -> Result<Found, Error> {
    held.check()?;
    let options =
        [("separator", columns.separator.is_some()), ("labels", columns.labels.is_some())];
    if let Some((option, _)) = options.into_iter().find(|(_, is_asked)| *is_asked) {
        let problem = ParquetProblem::SeveralAsked { option };
        return Err(ParquetFileError { file: path.to_path_buf(), problem }.into());
    }
    let mut skipped = Skipped::default();
    let (root, parts) = if path.is_dir() {
        (path, layout::find(path, &mut skipped)?)
    } else {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let root = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        (root.unwrap_or(Path::new(".")), vec![Part { name, role: None }])
    };
    let mut set = Set::new(root, columns, spool)?;
    // A file for training says which columns the others have, too.
    let first = parts.iter().position(|part| part.role == Some(Role::Train)).unwrap_or(0);
    set.choose(&parts[first], &mut skipped)?;
    for part in &parts {
        set.add(part, &mut skipped)?;
    }
    set.all.found(path, set.spool.finish()?, held, skipped)
}

/// The files that were read so far.
struct Set<'a> {
    root: &'a Path,
    /// The columns that were asked for; once a file was chosen from, all that are used.
    columns: TableColumns,
    /// The folder of images that are not in the files.
    folder: PathBuf,
    spool: Spool,
    all: All,
}

impl<'a> Set<'a> {
    fn new(root: &'a Path, columns: &TableColumns, spool: &Path) -> Result<Self, Error> {
        let folder = columns.folder.as_ref().map_or(root.to_path_buf(), |own| root.join(own));
        let (columns, spool) = (columns.clone(), Spool::new(spool)?);
        Ok(Self { root, columns, folder, spool, all: All::new(root) })
    }

    /// Chooses the columns of all files by those of one.
    fn choose(&mut self, part: &Part, skipped: &mut Skipped) -> Result<(), Error> {
        let file = Opened::new(&self.root.join(&part.name), &part.name)?;
        let Chosen { image, label, split, remarks, .. } = file.columns(&self.columns)?;
        let Some((label, _)) = label else {
            return Err(file.refuse(ParquetProblem::NoLabelColumn));
        };
        skipped.remarks.extend(remarks);
        self.columns.image = Some(image);
        self.all.column = label.clone();
        self.columns.label = Some(label);
        self.all.is_split_asked = self.columns.split.is_some();
        // The names of files say more than a column that nobody asked for.
        let is_used = self.all.is_split_asked || part.role.is_none();
        if let (Some((column, _)), false) = (&split, is_used) {
            let said = "the names of the files say the parts";
            skipped.remarks.push(format!("column {column} is ignored: {said}"));
        }
        self.columns.split = split.map(|(name, _)| name).filter(|_| is_used);
        self.all.split = self.columns.split.clone();
        Ok(())
    }

    /// Adds the images of a file.
    fn add(&mut self, part: &Part, skipped: &mut Skipped) -> Result<(), Error> {
        let file = Opened::new(&self.root.join(&part.name), &part.name)?;
        let chosen = match file.columns(&self.columns) {
            // The labels to measure by may be kept secret; others under another name are no reason to leave a file out.
            Err(error) if self.lacks_label(&error) && is_measured(part) && !file.has_labels() => {
                file.columns_without_labels(&self.columns)?
            }
            chosen => chosen?,
        };
        if let Some((column, _)) = &chosen.label
            && let Some(names) = file.features.classes.get(column)
        {
            match &self.all.names {
                Some((other, known)) if known != names => {
                    let (other, column) = (other.clone(), column.clone());
                    return Err(file.refuse(ParquetProblem::OtherNames { column, other }));
                }
                Some(_) => {}
                None => self.all.names = Some((part.name.clone(), names.clone())),
            }
        }
        let Rows { rows, empty, missing } = file.read(&chosen, &self.folder, &mut self.spool)?;
        if rows.is_empty() && empty == 0 && missing.is_empty() {
            skipped.remarks.push(format!("{} has no rows", part.name));
        }
        self.all.images.extend(rows.into_iter().map(|row| Image { row, role: part.role }));
        self.all.empty += empty;
        self.all.missing.extend(missing);
        Ok(())
    }

    /// Whether an error says that a file lacks the column of labels.
    fn lacks_label(&self, error: &Error) -> bool {
        let Error::Parquet(error) = error else { return false };
        matches!(&error.problem, ParquetProblem::NoSuchColumn { name, .. } if Some(name) == self.columns.label.as_ref())
    }
}

/// Whether a file is for a part that is measured, by its name.
fn is_measured(part: &Part) -> bool {
    matches!(part.role, Some(Role::Validation | Role::Test))
}
