//! The columns of a file: images, labels and splits, found by their types and by the names that people give them.

use parquet::schema::types::SchemaDescriptor;

use super::features::Features;
use super::fields::{Field, Kind, fields};
use crate::image_files::TableColumns;
use crate::image_files::column_names::{FILES, LABELS, SPLITS, normalized, position};
use crate::image_files::role::Role;
use crate::{ParquetProblem, first_few};

/// Names of columns with the bytes of images, beside those of files.
const BYTES: [&str; 8] =
    ["imagebytes", "bytes", "imagedata", "imgbytes", "imgdata", "content", "jpg", "png"];

/// The numbers of the columns that are used, as a row group counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The name of the column of images.
    pub(super) image: String,
    /// The images' bytes.
    pub(super) bytes: usize,
    /// The images' paths, where there are any.
    pub(super) path: Option<usize>,
    /// The labels: their column's name and number. `None` in a file without labels.
    pub(super) label: Option<(String, usize)>,
    /// The parts: their column's name and number.
    pub(super) split: Option<(String, usize)>,
    /// Remarks on columns that could have been used.
    pub(super) remarks: Vec<String>,
}

impl Chosen {
    /// Chooses the columns of a file.
    ///
    /// # Errors
    /// A column that was asked for and is not there, and any doubt.
    pub(super) fn of(
        schema: &SchemaDescriptor,
        features: &Features,
        asked: &TableColumns,
    ) -> Result<Self, ParquetProblem> {
        let fields = fields(schema);
        let mut chosen = Self::of_images(&fields, features, asked)?;
        let used = [Some(&chosen.image), chosen.split.as_ref().map(|(name, _)| name)];
        let used = used.map(|name| fields.iter().position(|field| Some(&field.name) == name));
        let (label, remark) = label(&fields, features, &used, asked.label.as_deref())?;
        chosen.label = label.map(|label| labels_of(&fields[label])).transpose()?;
        chosen.remarks.extend(remark);
        Ok(chosen)
    }

    /// Chooses the columns of a file but for its labels.
    ///
    /// # Errors
    /// As [`Chosen::of`].
    pub(super) fn without_labels(
        schema: &SchemaDescriptor,
        features: &Features,
        asked: &TableColumns,
    ) -> Result<Self, ParquetProblem> {
        Self::of_images(&fields(schema), features, asked)
    }

    fn of_images(
        fields: &[Field],
        features: &Features,
        asked: &TableColumns,
    ) -> Result<Self, ParquetProblem> {
        let image = image(fields, features, asked.image.as_deref())?;
        let (bytes, path) = match fields[image].kind {
            Kind::Image { bytes, path } => (bytes, path),
            Kind::Binary(bytes) => (bytes, None),
            other => {
                let (column, kind) = (fields[image].name.clone(), other.prose());
                return Err(ParquetProblem::NoBytes { column, kind });
            }
        };
        let split = split(fields, image, asked.split.as_deref())?;
        let remarks = split.map_or_else(|| flags(fields), |_| Vec::new());
        let text = |field: usize| match fields[field].kind {
            Kind::Text(leaf) | Kind::Binary(leaf) => Some((fields[field].name.clone(), leaf)),
            _ => None,
        };
        let split = split.and_then(text);
        Ok(Self { image: fields[image].name.clone(), bytes, path, label: None, split, remarks })
    }
}

/// Whether a column is called as labels are, or has names for its classes.
pub(super) fn have_labels(schema: &SchemaDescriptor, features: &Features) -> bool {
    let is_one = |field: &Field| {
        LABELS.contains(&&*normalized(&field.name)) || features.classes.contains_key(&field.name)
    };
    fields(schema).iter().any(is_one)
}

/// Remarks on columns of numbers that say the parts by their names: `is_test`, `split`.
fn flags(fields: &[Field]) -> Vec<String> {
    let is_flag = |field: &&Field| {
        let name = field.name.to_lowercase();
        let asks = name.starts_with("is_") && Role::within(&name).is_some();
        matches!(field.kind, Kind::Number(_)) && (asks || SPLITS.contains(&&*normalized(&name)))
    };
    let remark = |field: &Field| {
        format!("column {} is ignored: parts are said by text, train, val and test", field.name)
    };
    fields.iter().filter(is_flag).map(remark).collect()
}

/// The column that was asked for by its name.
fn named(fields: &[Field], name: &str) -> Result<usize, ParquetProblem> {
    let columns: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
    position(&columns, name)
        .ok_or_else(|| ParquetProblem::NoSuchColumn { name: name.to_string(), columns })
}

fn of_kind(fields: &[Field], is_wanted: impl Fn(Kind) -> bool) -> Vec<usize> {
    (0..fields.len()).filter(|&field| is_wanted(fields[field].kind)).collect()
}

fn called(fields: &[Field], among: &[usize], is_name: impl Fn(&str) -> bool) -> Vec<usize> {
    let is_called = |field: &&usize| is_name(&normalized(&fields[**field].name));
    among.iter().filter(is_called).copied().collect()
}

fn doubt(
    what: &'static str,
    key: &'static str,
    fields: &[Field],
    among: &[usize],
) -> ParquetProblem {
    let name = |&field: &usize| fields[field].name.clone();
    let columns = match among {
        [] => fields.iter().map(|field| field.name.clone()).collect(),
        _ => among.iter().map(name).collect(),
    };
    ParquetProblem::UnknownColumn { what, key, columns }
}

fn image(
    fields: &[Field],
    features: &Features,
    asked: Option<&str>,
) -> Result<usize, ParquetProblem> {
    if let Some(name) = asked {
        return named(fields, name);
    }
    let is_image = |kind| matches!(kind, Kind::Image { .. });
    let is_binary = |kind| matches!(kind, Kind::Binary(_));
    let is_name = |name: &str| FILES.contains(&name) || BYTES.contains(&name);
    let said = of_kind(fields, |kind| is_image(kind) || is_binary(kind));
    let said: Vec<usize> =
        said.into_iter().filter(|&field| features.images.contains(&fields[field].name)).collect();
    let mut doubtful = Vec::new();
    for candidates in [said, of_kind(fields, is_image), of_kind(fields, is_binary)] {
        if let [only] = candidates[..] {
            return Ok(only);
        }
        if let [only] = called(fields, &candidates, is_name)[..] {
            return Ok(only);
        }
        if doubtful.is_empty() {
            doubtful = candidates;
        }
    }
    if let ([], [only]) = (&doubtful[..], &called(fields, &of_kind(fields, |_| true), is_name)[..])
    {
        let (column, kind) = (fields[*only].name.clone(), fields[*only].kind.prose());
        return Err(ParquetProblem::NoBytes { column, kind });
    }
    Err(doubt("images", "image", fields, &doubtful))
}

/// The column of the labels, and a remark where another could be meant.
fn label(
    fields: &[Field],
    features: &Features,
    used: &[Option<usize>],
    asked: Option<&str>,
) -> Result<(Option<usize>, Option<String>), ParquetProblem> {
    if let Some(name) = asked {
        return Ok((Some(named(fields, name)?), None));
    }
    let is_free = |field: &usize| !used.contains(&Some(*field));
    let fine = |name: &str| name.strip_prefix("fine").is_some_and(|rest| LABELS.contains(&rest));
    let is_name = |name: &str| LABELS.contains(&name) || fine(name);
    // Programs call the columns that they add for themselves `__index_level_0__` and `__key__`.
    let is_own = |field: &usize| fields[*field].name.starts_with("__");
    let free: Vec<usize> = (0..fields.len()).filter(is_free).filter(|it| !is_own(it)).collect();
    let classes = free.iter().filter(|&&field| features.classes.contains_key(&fields[field].name));
    let classes: Vec<usize> = classes.copied().collect();
    let named = called(fields, &free, is_name);
    for candidates in [&classes, &named] {
        let fine = called(fields, candidates, fine);
        match (&candidates[..], &fine[..]) {
            ([], _) => {}
            (&[only], _) | (_, &[only]) => return Ok((Some(only), unused(fields, &classes, only))),
            _ => match called(fields, candidates, |name| name == "label")[..] {
                [only] => return Ok((Some(only), unused(fields, candidates, only))),
                _ => return Err(doubt("labels", "label", fields, candidates)),
            },
        }
    }
    let is_value = |kind| matches!(kind, Kind::Text(_) | Kind::Number(_));
    let values: Vec<usize> =
        free.iter().copied().filter(|&field| is_value(fields[field].kind)).collect();
    match values[..] {
        [] => Ok((None, None)),
        [only] => Ok((Some(only), None)),
        _ => Err(doubt("labels", "label", fields, &values)),
    }
}

/// A remark on the columns of classes beside the one that is taken.
fn unused(fields: &[Field], candidates: &[usize], taken: usize) -> Option<String> {
    let others: Vec<&str> = candidates
        .iter()
        .filter(|&&field| field != taken)
        .map(|&field| fields[field].name.as_str())
        .collect();
    let taken = &fields[taken].name;
    (!others.is_empty()).then(|| {
        let others = first_few::first_few(&others);
        format!("the labels are those of column {taken}; ?label=COLUMN takes another: {others}")
    })
}

/// Refuses columns whose values are no labels.
fn labels_of(field: &Field) -> Result<(String, usize), ParquetProblem> {
    let column = field.name.clone();
    match field.kind {
        Kind::Text(leaf) | Kind::Number(leaf) | Kind::Binary(leaf) => Ok((column, leaf)),
        Kind::List => Err(ParquetProblem::SeveralLabels { column }),
        other => Err(ParquetProblem::NoLabel { column, kind: other.prose() }),
    }
}

/// The column of the parts: one that was asked for, or one of text with a common name.
fn split(
    fields: &[Field],
    image: usize,
    asked: Option<&str>,
) -> Result<Option<usize>, ParquetProblem> {
    if let Some(name) = asked {
        let field = named(fields, name)?;
        return match fields[field].kind {
            Kind::Text(_) | Kind::Binary(_) => Ok(Some(field)),
            other => {
                let (column, kind) = (fields[field].name.clone(), other.prose());
                Err(ParquetProblem::NoSplit { column, kind })
            }
        };
    }
    let texts = of_kind(fields, |kind| matches!(kind, Kind::Text(_)));
    let called = called(fields, &texts, |name| SPLITS.contains(&name));
    Ok(called.into_iter().find(|&field| field != image))
}
