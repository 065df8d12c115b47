//! The footer of a Parquet file: its schema, its row groups, and what Hugging Face's `datasets` writes about the columns.

use std::fs::File;
use std::panic;

use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::thrift::{Problem, Reader, kind};
use crate::ParquetProblem;
use crate::image_files::archives::read_exact_at;

/// The first and last bytes of a file.
const MAGIC: &[u8; 4] = b"PAR1";
/// The last bytes of a file whose footer is encrypted.
const ENCRYPTED: &[u8; 4] = b"PARE";
/// The first bytes of a pointer of Git LFS, which stands for a file that was not fetched.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// The magic bytes at the front; then, from the end, the length of the footer and the magic bytes again.
const SHORTEST: u64 = 12;
/// The deepest nesting of columns; images have two levels.
const DEEPEST: usize = 64;
/// The longest footer, in bytes. It becomes many times as long in memory.
const LONGEST: u64 = 256 << 20;
/// The field of a footer that is its schema, and the field of an element that is its number of children.
const SCHEMA: i16 = 2;
const CHILDREN: i16 = 5;

/// Reads the footer of `file`, which has `length` bytes.
pub(super) fn read(file: &File, length: u64) -> Result<ParquetMetaData, ParquetProblem> {
    let at = |place: u64, count: usize| {
        let mut bytes = vec![0; count];
        read_exact_at(file, &mut bytes, place)
            .map_err(|error| ParquetProblem::Damaged(error.to_string()))?;
        Ok(bytes)
    };
    let start = at(0, length.min(POINTER.len() as u64) as usize)?;
    if start == POINTER {
        return Err(ParquetProblem::Pointer);
    }
    if !start.starts_with(MAGIC) && !start.starts_with(ENCRYPTED) {
        return Err(ParquetProblem::NotParquet);
    }
    if length < SHORTEST {
        return Err(ParquetProblem::CutOff);
    }
    let end = at(length - 8, 8)?;
    match &end[4..] {
        magic if magic == ENCRYPTED => return Err(ParquetProblem::Encrypted),
        magic if magic == MAGIC => {}
        _ => return Err(ParquetProblem::CutOff),
    }
    let claimed = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
    if claimed > length - SHORTEST || claimed > LONGEST {
        return Err(ParquetProblem::Damaged(format!(
            "its footer claims {claimed} bytes of {length}"
        )));
    }
    let footer = at(length - 8 - claimed, claimed as usize)?;
    check(&footer).map_err(|problem| {
        let problem = match problem {
            Problem::Ends => "its footer claims more than it holds",
            Problem::Broken => "its footer makes no sense",
        };
        ParquetProblem::Damaged(problem.to_string())
    })?;
    // A panic of the reader means a damaged file. The closure leaves nothing that is used afterwards.
    let read = panic::catch_unwind(|| ParquetMetaDataReader::decode_metadata(&footer));
    match read {
        Ok(Ok(metadata)) => Ok(metadata),
        Ok(Err(error)) => Err(ParquetProblem::Damaged(error.to_string())),
        Err(_) => Err(ParquetProblem::Damaged("its footer makes no sense".to_string())),
    }
}

/// Walks through a whole footer, and checks the schema's numbers of children, which memory is taken for.
fn check(footer: &[u8]) -> Result<(), Problem> {
    let mut reader = Reader::new(footer);
    let mut last = 0;
    while let Some((field, kind)) = reader.field(&mut last)? {
        match (field, kind) {
            (SCHEMA, kind::LIST) => check_schema(&mut reader)?,
            _ => reader.skip(kind)?,
        }
    }
    Ok(())
}

/// The schema is a tree, written from its root: each element says how many children follow it.
fn check_schema(reader: &mut Reader<'_>) -> Result<(), Problem> {
    let (element, count) = reader.list()?;
    if element != kind::STRUCT {
        return Err(Problem::Broken);
    }
    // The children that are still to come, of every element above the next one.
    let mut open: Vec<usize> = Vec::new();
    for number in 0..count {
        let mut children = 0;
        let mut last = 0;
        while let Some((field, kind)) = reader.field(&mut last)? {
            if (field, kind) == (CHILDREN, kind::I32) {
                children = usize::try_from(reader.signed()?).map_err(|_| Problem::Broken)?;
            } else {
                reader.skip(kind)?;
            }
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        } else if number > 0 {
            return Err(Problem::Broken);
        }
        if children > count - number - 1 || open.len() > DEEPEST {
            return Err(Problem::Broken);
        }
        if children > 0 {
            open.push(children);
        }
        while open.last() == Some(&0) {
            open.pop();
        }
    }
    if open.is_empty() { Ok(()) } else { Err(Problem::Broken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A schema of elements with these numbers of children, and no other field.
    fn schema(children: &[u8]) -> Vec<u8> {
        let count = children.len() as u8;
        let elements = children.iter().flat_map(|&children| [0x55, children * 2, 0]);
        [0x29, 0xfc, count].into_iter().chain(elements).chain([0]).collect()
    }

    #[test]
    fn a_schema_is_a_tree() {
        for tree in [&[0][..], &[1, 0], &[2, 2, 0, 0, 0], &[3, 0, 1, 0, 0]] {
            assert_eq!(check(&schema(tree)), Ok(()), "{tree:?}");
        }
        for none in [&[1][..], &[0, 0], &[2, 0], &[60, 0], &[1, 0, 0], &[2, 2, 0, 0]] {
            assert_eq!(check(&schema(none)), Err(Problem::Broken), "{none:?}");
        }
    }

    #[test]
    fn a_schema_without_a_bottom_is_refused() {
        let deep: Vec<u8> = std::iter::repeat_n(1, 100).chain([0]).collect();
        assert_eq!(check(&schema(&deep)), Err(Problem::Broken));
    }
}
