//! The columns of a file by the kind of their values.

use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

/// A column at the top of the schema.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes and path of an image, as `datasets` writes them.
    Image { bytes: usize, path: Option<usize> },
    /// Bytes.
    Binary(usize),
    /// Text.
    Text(usize),
    /// Numbers, or true and false.
    Number(usize),
    /// Several values in a row.
    List,
    /// Anything else.
    Other,
}

impl Kind {
    /// The kind in prose, for messages.
    pub(super) fn prose(self) -> &'static str {
        match self {
            Kind::Image { .. } | Kind::Binary(_) => "bytes",
            Kind::Text(_) => "text",
            Kind::Number(_) => "numbers",
            Kind::List => "lists",
            Kind::Other => "values of another type",
        }
    }
}

/// The columns at the top of a schema, in its order.
pub(super) fn fields(schema: &SchemaDescriptor) -> Vec<Field> {
    let tops = schema.root_schema().get_fields();
    let mut fields: Vec<Field> = tops
        .iter()
        .map(|field| Field { name: field.name().to_string(), kind: Kind::Other })
        .collect();
    for leaf in 0..schema.num_columns() {
        let (column, top) = (schema.column(leaf), schema.get_column_root_idx(leaf));
        let kind = &mut fields[top].kind;
        let path: Vec<&str> = column.path().parts().iter().skip(1).map(String::as_str).collect();
        *kind = if column.max_rep_level() > 0 {
            Kind::List
        } else {
            match (&path[..], &kind) {
                ([], _) => simple(&column, leaf),
                (["bytes"], _) if column.physical_type() == Physical::BYTE_ARRAY => match kind {
                    Kind::Image { path, .. } => Kind::Image { bytes: leaf, path: *path },
                    _ => Kind::Image { bytes: leaf, path: path_of(schema, top) },
                },
                _ => *kind,
            }
        };
    }
    fields
}

/// The column of paths in the structure `top`.
fn path_of(schema: &SchemaDescriptor, top: usize) -> Option<usize> {
    (0..schema.num_columns()).find(|&leaf| {
        let column = schema.column(leaf);
        schema.get_column_root_idx(leaf) == top
            && column.path().parts().get(1..).is_some_and(|rest| rest == ["path"])
            && column.physical_type() == Physical::BYTE_ARRAY
            && column.max_rep_level() == 0
    })
}

fn simple(column: &ColumnDescriptor, leaf: usize) -> Kind {
    let is_text = matches!(
        column.logical_type_ref(),
        Some(LogicalType::String | LogicalType::Enum | LogicalType::Json)
    ) || matches!(column.converted_type(), ConvertedType::UTF8 | ConvertedType::ENUM);
    match column.physical_type() {
        Physical::BYTE_ARRAY if is_text => Kind::Text(leaf),
        Physical::BYTE_ARRAY => Kind::Binary(leaf),
        Physical::INT32 | Physical::INT64 if !is_whole(column) => Kind::Other,
        Physical::INT32
        | Physical::INT64
        | Physical::BOOLEAN
        | Physical::FLOAT
        | Physical::DOUBLE => Kind::Number(leaf),
        Physical::INT96 | Physical::FIXED_LEN_BYTE_ARRAY => Kind::Other,
    }
}

/// Whether the numbers of a column count, and are no dates, times or decimal fractions.
fn is_whole(column: &ColumnDescriptor) -> bool {
    use ConvertedType as Converted;
    match column.logical_type_ref() {
        Some(logical) => matches!(logical, LogicalType::Integer { .. }),
        None => !matches!(
            column.converted_type(),
            Converted::DECIMAL
                | Converted::DATE
                | Converted::TIME_MILLIS
                | Converted::TIME_MICROS
                | Converted::TIMESTAMP_MILLIS
                | Converted::TIMESTAMP_MICROS
        ),
    }
}
