//! Parquet files of small images, written by the crate `parquet` itself.

use std::path::Path;
use std::sync::Arc;

use image::{ImageFormat, RgbImage};
use parquet::basic::Encoding;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type,
};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

/// The labels of a table.
#[derive(Debug, Clone)]
pub(super) enum Labels {
    Numbers(Vec<Option<i64>>),
    Short(Vec<i32>),
    Floats(Vec<f64>),
    Bools(Vec<bool>),
    Texts(Vec<String>),
}

/// The rows of a file.
#[derive(Debug, Clone)]
pub(super) struct Table<'a> {
    pub(super) labels: Option<Labels>,
    /// Whether the labels are written as lists of one.
    pub(super) is_list: bool,
    /// The names of the classes, as `datasets` writes them.
    pub(super) names: Option<&'a [&'a str]>,
    /// The colour of the first image; the others count from there.
    pub(super) first: u8,
    pub(super) paths: Vec<Option<String>>,
    /// The rows whose images have no bytes.
    pub(super) missing: Vec<usize>,
    pub(super) split: Option<Vec<String>>,
    /// Whether the images are a column of bytes, and no structure.
    pub(super) is_plain: bool,
    pub(super) layout: Layout,
}

/// The layout of a file's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// With dictionaries, one row group.
    Common,
    /// Pages of the second version, with differences of lengths.
    Second,
    /// Pages of the second version, with what values have in common with those before them; these are not read.
    Prefixes,
    /// Without dictionaries, row groups of two rows.
    Small,
}

impl<'a> Table<'a> {
    /// An image for each label.
    pub(super) fn new(labels: Labels) -> Self {
        let count = count(&labels);
        Self {
            labels: Some(labels),
            is_list: false,
            names: None,
            first: 0,
            paths: (0..count).map(|row| Some(format!("{row}.png"))).collect(),
            missing: Vec::new(),
            split: None,
            is_plain: false,
            layout: Layout::Common,
        }
    }

    fn schema(&self) -> String {
        let image = match self.is_plain {
            true => "OPTIONAL BYTE_ARRAY image;",
            false => {
                "OPTIONAL GROUP image { OPTIONAL BYTE_ARRAY bytes; OPTIONAL BYTE_ARRAY path (UTF8); }"
            }
        };
        let label = match &self.labels {
            None => String::new(),
            Some(labels) => {
                let kind = match labels {
                    Labels::Numbers(_) => "INT64",
                    Labels::Short(_) => "INT32",
                    Labels::Floats(_) => "DOUBLE",
                    Labels::Bools(_) => "BOOLEAN",
                    Labels::Texts(_) => "BYTE_ARRAY",
                };
                let text = if kind == "BYTE_ARRAY" { " (UTF8)" } else { "" };
                match self.is_list {
                    false => format!("OPTIONAL {kind} label{text};"),
                    true => format!(
                        "OPTIONAL GROUP label (LIST) {{ REPEATED GROUP list {{ OPTIONAL {kind} element{text}; }} }}"
                    ),
                }
            }
        };
        let split = if self.split.is_some() { "OPTIONAL BYTE_ARRAY split (UTF8);" } else { "" };
        format!("message schema {{ {image} {label} {split} }}")
    }
}

fn count(labels: &Labels) -> usize {
    match labels {
        Labels::Numbers(labels) => labels.len(),
        Labels::Short(labels) => labels.len(),
        Labels::Floats(labels) => labels.len(),
        Labels::Bools(labels) => labels.len(),
        Labels::Texts(labels) => labels.len(),
    }
}

/// An image whose red is `colour`.
pub(super) fn png(colour: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = RgbImage::from_pixel(5, 4, image::Rgb([colour, 200, 7]));
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Writes a table as the file `root/name`.
pub(super) fn write(root: &Path, name: &str, table: &Table<'_>) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes(table)).unwrap();
}

/// The bytes of a file of the table.
pub(super) fn bytes(table: &Table<'_>) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(&table.schema()).unwrap());
    let leaf = |name: &str| ColumnPath::new(vec!["image".to_string(), name.to_string()]);
    let mut properties = WriterProperties::builder();
    if let Some(names) = table.names {
        let text = serde_json::json!({"info": {"features": {
            "image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}}});
        let entry = KeyValue::new("huggingface".to_string(), text.to_string());
        properties = properties.set_key_value_metadata(Some(vec![entry]));
    }
    properties = match table.layout {
        Layout::Common => properties,
        Layout::Second => properties
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_dictionary_enabled(false)
            .set_column_encoding(leaf("bytes"), Encoding::DELTA_LENGTH_BYTE_ARRAY)
            .set_column_encoding(leaf("path"), Encoding::DELTA_LENGTH_BYTE_ARRAY),
        Layout::Prefixes => properties
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_dictionary_enabled(false)
            .set_column_encoding(leaf("path"), Encoding::DELTA_BYTE_ARRAY),
        Layout::Small => properties.set_dictionary_enabled(false),
    };
    let mut writer =
        SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).unwrap();
    let rows = table.paths.len();
    let step = if table.layout == Layout::Small { 2 } else { rows.max(1) };
    for start in (0..rows.max(1)).step_by(step) {
        let mut next = writer.next_row_group().unwrap();
        group(&mut next, table, start..rows.min(start + step));
        next.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn group(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    table: &Table<'_>,
    rows: std::ops::Range<usize>,
) {
    let image = |row: usize| {
        (!table.missing.contains(&row)).then(|| ByteArray::from(png(table.first + row as u8)))
    };
    let depth = if table.is_plain { 1 } else { 2 };
    column::<ByteArrayType>(group, rows.clone().map(image), depth, false);
    if !table.is_plain {
        // Paths that count the rows count them from the first image.
        let path = |row: usize| match table.paths[row].clone()? {
            path if path == format!("{row}.png") => {
                Some(format!("{}.png", usize::from(table.first) + row).into_bytes().into())
            }
            path => Some(path.into_bytes().into()),
        };
        column::<ByteArrayType>(group, rows.clone().map(path), 2, false);
    }
    let depth = if table.is_list { 3 } else { 1 };
    let list = table.is_list;
    match &table.labels {
        None => {}
        Some(Labels::Numbers(labels)) => {
            column::<Int64Type>(group, labels[rows.clone()].iter().copied(), depth, list);
        }
        Some(Labels::Short(labels)) => {
            column::<Int32Type>(group, labels[rows.clone()].iter().copied().map(Some), depth, list);
        }
        Some(Labels::Floats(labels)) => {
            column::<DoubleType>(
                group,
                labels[rows.clone()].iter().copied().map(Some),
                depth,
                list,
            );
        }
        Some(Labels::Bools(labels)) => {
            column::<BoolType>(group, labels[rows.clone()].iter().copied().map(Some), depth, list);
        }
        Some(Labels::Texts(labels)) => {
            let text = |text: &String| Some(ByteArray::from(text.clone().into_bytes()));
            column::<ByteArrayType>(group, labels[rows.clone()].iter().map(text), depth, list);
        }
    }
    if let Some(split) = &table.split {
        let text = |text: &String| Some(ByteArray::from(text.clone().into_bytes()));
        column::<ByteArrayType>(group, split[rows].iter().map(text), 1, false);
    }
}

/// Writes the next column: its cells, and the level of those that are there.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    cells: impl Iterator<Item = Option<T::T>>,
    level: i16,
    is_list: bool,
) {
    let cells: Vec<Option<T::T>> = cells.collect();
    let levels: Vec<i16> =
        cells.iter().map(|cell| if cell.is_some() { level } else { level - 1 }).collect();
    let values: Vec<T::T> = cells.into_iter().flatten().collect();
    let repeated = vec![0; levels.len()];
    let mut column = group.next_column().unwrap().unwrap();
    let repeated = is_list.then_some(&repeated[..]);
    column.typed::<T>().write_batch(&values, Some(&levels), repeated).unwrap();
    column.close().unwrap();
}
