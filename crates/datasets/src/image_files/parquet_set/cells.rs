//! The cells of one column in a row group, a few rows at a time.

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReaderImpl, GenericColumnReader};
use parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescPtr;

use super::super::label_texts::{LONGEST, is_missing};
use super::pages::Pages;

/// A column of values of one type.
pub(super) struct Column<T: DataType> {
    reader: ColumnReaderImpl<T>,
    /// The level of a value that is there.
    full: i16,
}

impl<T: DataType> Column<T> {
    pub(super) fn new(column: ColumnDescPtr, pages: Pages) -> Self {
        let full = column.max_def_level();
        Self { reader: GenericColumnReader::new(column, Box::new(pages)), full }
    }

    /// The cells of the next `rows` rows; `None` where a value is missing.
    pub(super) fn read(&mut self, rows: usize) -> Result<Vec<Option<T::T>>> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let mut got = 0;
        while got < rows {
            let (read, ..) =
                self.reader.read_records(rows - got, Some(&mut levels), None, &mut values)?;
            if read == 0 {
                let problem = "a column ends before its row group".to_string();
                return Err(ParquetError::General(problem));
            }
            got += read;
        }
        if self.full == 0 {
            return Ok(values.into_iter().map(Some).collect());
        }
        let mut values = values.into_iter();
        let cell = |&level: &i16| if level == self.full { values.next() } else { None };
        Ok(levels.iter().map(cell).collect())
    }
}

/// A label as it lies in a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Missing,
    Number(i64),
    Text(String),
    /// A number that is no whole one.
    Broken(f64),
    /// Bytes that are no text.
    NoText,
    /// A text of so many bytes, which is too long for a label.
    Long(usize),
}

/// A column of labels, of any type that can be one.
pub(super) enum Labels {
    Bool(Column<BoolType>),
    Int32(Column<Int32Type>),
    Int64(Column<Int64Type>),
    UInt32(Column<Int32Type>),
    UInt64(Column<Int64Type>),
    Float(Column<FloatType>),
    Double(Column<DoubleType>),
    Bytes(Column<ByteArrayType>),
}

impl Labels {
    pub(super) fn new(column: ColumnDescPtr, pages: Pages) -> Result<Self> {
        Ok(match column.physical_type() {
            Type::BOOLEAN => Self::Bool(Column::new(column, pages)),
            Type::INT32 if is_unsigned(&column) => Self::UInt32(Column::new(column, pages)),
            Type::INT64 if is_unsigned(&column) => Self::UInt64(Column::new(column, pages)),
            Type::INT32 => Self::Int32(Column::new(column, pages)),
            Type::INT64 => Self::Int64(Column::new(column, pages)),
            Type::FLOAT => Self::Float(Column::new(column, pages)),
            Type::DOUBLE => Self::Double(Column::new(column, pages)),
            Type::BYTE_ARRAY => Self::Bytes(Column::new(column, pages)),
            other @ (Type::INT96 | Type::FIXED_LEN_BYTE_ARRAY) => {
                return Err(ParquetError::General(format!("labels of type {other}")));
            }
        })
    }

    /// The labels of the next `rows` rows.
    pub(super) fn read(&mut self, rows: usize) -> Result<Vec<Cell>> {
        fn cells<T: DataType>(
            column: &mut Column<T>,
            rows: usize,
            cell: impl Fn(T::T) -> Cell,
        ) -> Result<Vec<Cell>> {
            let values = column.read(rows)?;
            Ok(values.into_iter().map(|value| value.map_or(Cell::Missing, &cell)).collect())
        }
        match self {
            Self::Bool(column) => cells(column, rows, |value| Cell::Text(value.to_string())),
            Self::Int32(column) => cells(column, rows, |value| Cell::Number(value.into())),
            Self::Int64(column) => cells(column, rows, Cell::Number),
            Self::UInt32(column) => {
                cells(column, rows, |value| Cell::Number(value.cast_unsigned().into()))
            }
            Self::UInt64(column) => cells(column, rows, |value| match value {
                0.. => Cell::Number(value),
                _ => Cell::Broken(value.cast_unsigned() as f64),
            }),
            Self::Float(column) => cells(column, rows, |value| whole(value.into())),
            Self::Double(column) => cells(column, rows, whole),
            Self::Bytes(column) => {
                cells(column, rows, |value| match value.as_utf8().map(str::trim) {
                    Ok(text) if is_missing(text) => Cell::Missing,
                    Ok(text) if text.len() > LONGEST => Cell::Long(text.len()),
                    Ok(text) => Cell::Text(text.to_string()),
                    Err(_) => Cell::NoText,
                })
            }
        }
    }
}

/// Whether the numbers of a column have no sign.
fn is_unsigned(column: &ColumnDescPtr) -> bool {
    use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
    matches!(column.logical_type_ref(), Some(LogicalType::Integer(kind)) if !kind.is_signed)
        || matches!(column.converted_type(), UINT_8 | UINT_16 | UINT_32 | UINT_64)
}

/// pandas writes whole numbers as floats where a label of the column is missing, and NaN for that one.
fn whole(value: f64) -> Cell {
    match value {
        _ if value.is_nan() => Cell::Missing,
        _ if value.fract() == 0. && value.abs() < 2_f64.powi(53) => Cell::Number(value as i64),
        _ => Cell::Broken(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_labels_where_they_are_whole() {
        let cells = [3.0, -1.0, f64::NAN, 0.5, 1e300, f64::INFINITY].map(whole);
        assert_eq!(cells[..3], [Cell::Number(3), Cell::Number(-1), Cell::Missing]);
        assert!(cells[3..].iter().all(|cell| matches!(cell, Cell::Broken(_))), "{cells:?}");
    }
}
