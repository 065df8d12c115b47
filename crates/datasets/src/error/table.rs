//! Errors of tables that name images and their labels.

use std::path::PathBuf;

use crate::first_few::first_few;

/// A table of images that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .file.display())]
pub struct TableError {
    /// The table.
    pub file: PathBuf,
    /// The problem.
    pub problem: TableProblem,
}

/// The problem of a table of images.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableProblem {
    /// Nothing but a header, or less.
    #[error("it has no rows; a header and a row for each image are needed")]
    Empty,

    /// A table of one column.
    #[error(
        "it has one column ({0}); two at least are needed, an image and its label, with commas, semicolons or tabs between"
    )]
    OneColumn(String),

    /// A row that is longer than the header.
    #[error(
        "line {line} has {cells} cells where the header has {columns}; quote a cell that holds the separator '{separator}'"
    )]
    LongRow {
        /// The line, counted from 1.
        line: u64,
        /// Its cells.
        cells: usize,
        /// Columns of the header.
        columns: usize,
        /// The separator.
        separator: char,
    },

    /// A quote that swallows rows.
    #[error(
        "line {line} opens a quote (\") that is not closed, and the rows after it are read as one cell; close or remove it"
    )]
    OpenQuote {
        /// The line, counted from 1.
        line: u64,
    },

    /// A column that was asked for and is not there.
    #[error("there is no column '{name}'; it has {}", first_few(.columns))]
    NoSuchColumn {
        /// The name that was typed.
        name: String,
        /// All columns.
        columns: Vec<String>,
    },

    /// No column that is known by its name.
    #[error("which column has the {what}? It has {}; say it: 'csv:{example}?{key}=COLUMN'", first_few(.columns))]
    UnknownColumn {
        /// `images` or `labels`.
        what: &'static str,
        /// `image` or `label`.
        key: &'static str,
        /// The file.
        example: String,
        /// The columns that it could be, one at least.
        columns: Vec<String>,
    },

    /// Values of a split column that are no parts of a set.
    #[error(
        "column {column} says for which part of the set an image is, and {} no part: {}; use train, val and test, or leave the \
         column out",
        if .values.len() == 1 { "one of its values is" } else { "some of its values are" }, first_few(.values)
    )]
    UnknownSplit {
        /// The column.
        column: String,
        /// The values, each with its number of rows.
        values: Vec<String>,
    },

    /// A text that is too long for the name of a class.
    #[error(
        "line {line}: the label has {bytes} bytes and begins '{start}'; the name of a class has at most 1000"
    )]
    LongLabel {
        /// The line of its row.
        line: u64,
        /// Its length.
        bytes: usize,
        /// Its first letters.
        start: String,
    },

    /// A column of yes and no that was asked for, whose name says nothing about yes.
    #[error(
        "column {column} says yes and no, and its name does not say which part of the set yes means; call it is_train, is_valid or \
         is_test, or write train, val and test into it"
    )]
    UnclearFlag {
        /// The column.
        column: String,
    },

    /// Rows for testing only.
    #[error("column {column} has rows for {part} and none for train")]
    NoTraining {
        /// The column.
        column: String,
        /// `test` or `val`.
        part: &'static str,
    },

    /// An image with several labels.
    #[error(
        "line {line}: '{label}' {}; where images have several, say so ('csv:FILE{remedy}'); else keep one, or leave the row out",
        if *.rows == 1 { "is several labels".to_string() } else { format!("is several labels, as in {rows} rows") }
    )]
    SeveralLabels {
        /// The line, counted from 1.
        line: u64,
        /// The content of the cell.
        label: String,
        /// Number of such rows.
        rows: usize,
        /// The option that reads them.
        remedy: String,
    },

    /// Two ways to say the labels.
    #[error(
        "?labels names a column for each class, so that ?{other} has no column; use one of the two"
    )]
    TwoWays {
        /// `label` or `separator`.
        other: &'static str,
    },

    /// A separator where there is no cell with labels.
    #[error(
        "there is no column with labels whose cells '{separator}' could part, but one of 0 and 1 for each class; name these in \
         place of a separator (?labels=CLASS,CLASS)"
    )]
    SeparatorOfColumns {
        /// The separator.
        separator: char,
    },

    /// A column that was asked for as two things.
    #[error("column '{column}' was asked for twice; name each column once")]
    ColumnTwice {
        /// The column.
        column: String,
    },

    /// A cell of labels that another separator parts.
    #[error(
        "line {line}: '{label}' is one label by the separator '{separator}', and its parts are labels of other rows; use one \
         separator in all cells"
    )]
    OtherSeparator {
        /// The line, counted from 1.
        line: u64,
        /// The label.
        label: String,
        /// The separator that was asked for.
        separator: char,
    },

    /// A separator that no cell has, where cells have others.
    #[error(
        "no row of column {column} has the separator '{separator}', but line {line} has '{label}'; say what stands between labels \
         (?separator=;)"
    )]
    NoSeparator {
        /// The line, counted from 1.
        line: u64,
        /// The content of the cell.
        label: String,
        /// The column.
        column: String,
        /// The separator that was asked for.
        separator: char,
    },

    /// A list as a program prints it.
    #[error(
        "line {line}: '{label}' is a list as a program prints it; write the labels with '{separator}' between them"
    )]
    PrintedList {
        /// The line, counted from 1.
        line: u64,
        /// The content of the cell.
        label: String,
        /// The separator that was asked for.
        separator: char,
    },

    /// A label of no letters among others.
    #[error(
        "line {line}: '{label}' has no label at one side of a separator '{separator}'; write the label, or remove the separator"
    )]
    EmptyLabel {
        /// The line, counted from 1.
        line: u64,
        /// The content of the cell.
        label: String,
        /// The separator that was asked for.
        separator: char,
    },

    /// A cell of a class that says neither yes nor no.
    #[error(
        "line {line}: column {column} is '{cell}', expected 1 for an image of this class, 0 or nothing for another; \
         a column that holds the names of classes is named by ?label=COLUMN"
    )]
    NoBit {
        /// The line, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// The content of the cell.
        cell: String,
    },

    /// Two rows of an image that disagree.
    #[error(
        "{image} is {first} by line {first_line} and {second} by line {second_line}{}; keep one row for each image",
        if *.images == 1 { String::new() } else { format!(" ({images} images have such rows)") }
    )]
    Conflict {
        /// The image.
        image: String,
        /// Its label, or its split, by the first row.
        first: String,
        /// The line, counted from 1.
        first_line: u64,
        /// Its label, or its split, by the second row.
        second: String,
        /// The line, counted from 1.
        second_line: u64,
        /// Number of such images.
        images: usize,
    },

    /// An image that could be several files.
    #[error(
        "line {line}: '{image}' could be {first} or {second}; say in which folder the images are (?folder=DIR)"
    )]
    Ambiguous {
        /// The line, counted from 1.
        line: u64,
        /// The content of the cell.
        image: String,
        /// A file.
        first: String,
        /// Another file.
        second: String,
    },

    /// A table none of whose images is there.
    #[error(
        "none of the images that its {rows} rows name is there: '{image}' was looked for in {}, as a path and by its name; say \
         in which folder the images are (?folder=DIR), or which column names them (?image=COLUMN)",
        .folder.display()
    )]
    NothingFound {
        /// Number of rows.
        rows: usize,
        /// The first image.
        image: String,
        /// The folder.
        folder: PathBuf,
    },

    /// A table without a label.
    #[error(
        "no row has a label in column {column}; say which column has the labels (?label=COLUMN)"
    )]
    NoLabels {
        /// The column.
        column: String,
    },

    /// A table of one class.
    #[error("all rows have the label '{label}'; two classes at least are needed")]
    OneClass {
        /// The label.
        label: String,
    },
}
