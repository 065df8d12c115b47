//! The parts of Markdown that rules read: code spans and tables.

/// A table; its rows come without the line of dashes.
pub(super) struct Table<'a> {
    pub(super) header: Row<'a>,
    pub(super) rows: Vec<Row<'a>>,
}

pub(super) struct Row<'a> {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) cells: Vec<&'a str>,
}

/// The tables of `text`.
pub(super) fn tables(text: &str) -> Vec<Table<'_>> {
    let mut tables: Vec<Table<'_>> = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let Some(cells) = line.trim().strip_prefix('|').and_then(|line| line.strip_suffix('|'))
        else {
            inside = false;
            continue;
        };
        let row = Row { line: index + 1, cells: cells.split('|').map(str::trim).collect() };
        let is_rule = row.cells.iter().all(|cell| cell.chars().all(|c| c == '-' || c == ':'));
        match tables.last_mut().filter(|_| inside) {
            None => tables.push(Table { header: row, rows: Vec::new() }),
            Some(table) if !is_rule => table.rows.push(row),
            Some(_) => {}
        }
        inside = true;
    }
    tables
}

/// The text between single backticks.
pub(super) fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}
