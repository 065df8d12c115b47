//! From the cells of labels to numbered classes: by the names that the files give them, else by their texts or numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::cells::Cell;
use crate::ParquetProblem;

/// The number for an image without a label: in files that name their classes, and where no image to train on has it.
const UNLABELLED: i64 = -1;

/// The classes of a set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Classes {
    pub(super) names: Vec<String>,
    numbers: BTreeMap<Label, u32>,
    is_unlabelled: bool,
}

/// A label that is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Number(i64),
    Text(String),
}

impl Classes {
    /// The classes of all `cells` of the column `column`, whose names the file may know. Beside each cell stands whether its
    /// image is to train on.
    ///
    /// # Errors
    /// A label that cannot be one, or that has no name, and numbers beside texts.
    pub(super) fn of<'a>(
        cells: impl Iterator<Item = (&'a Cell, bool)>,
        known: Option<&[String]>,
        column: &str,
    ) -> Result<Self, ParquetProblem> {
        let mut labels = BTreeSet::new();
        let mut is_trained = false;
        for (cell, to_train_on) in cells {
            match cell {
                Cell::Missing => {}
                Cell::Number(number) => {
                    is_trained |= *number == UNLABELLED && to_train_on;
                    labels.insert(Label::Number(*number));
                }
                Cell::Text(text) => {
                    let text = text.clone();
                    if is_list(&text) {
                        let column = column.to_string();
                        return Err(ParquetProblem::ListLabel { column, label: text });
                    }
                    labels.insert(Label::Text(text));
                }
                Cell::Long(bytes) => {
                    let (column, bytes) = (column.to_string(), *bytes);
                    return Err(ParquetProblem::LongLabel { column, bytes });
                }
                Cell::Broken(value) => {
                    let (column, label) = (column.to_string(), value.to_string());
                    return Err(ParquetProblem::NotWhole { column, label });
                }
                Cell::NoText => {
                    return Err(ParquetProblem::NoText { column: column.to_string() });
                }
            }
        }
        let numbers = |label: &Label| match label {
            Label::Number(number) => Some(*number),
            Label::Text(_) => None,
        };
        let is_unlabelled = known.is_some() || !is_trained;
        if is_unlabelled {
            labels.remove(&Label::Number(UNLABELLED));
        }
        // Texts of one file may be the names that another gives to its numbers.
        let has_place = |label: &Label| match label {
            Label::Number(_) => true,
            Label::Text(text) => known.is_some_and(|names| names.contains(text)),
        };
        if let (Some(names), true) = (known, labels.iter().all(has_place)) {
            return Self::named(&labels.iter().filter_map(numbers).collect(), names, column);
        }
        let mut labels: Vec<Label> = labels.into_iter().collect();
        let parsed = |label: &Label| match label {
            Label::Number(number) => Some(*number),
            Label::Text(text) => text.parse().ok(),
        };
        let has_numbers = labels.iter().any(|label| numbers(label).is_some());
        if let (true, Some(Label::Text(text))) =
            (has_numbers, labels.iter().find(|label| parsed(label).is_none()))
        {
            let (column, text) = (column.to_string(), text.clone());
            return Err(ParquetProblem::NumbersAndText { column, text });
        }
        if labels.iter().all(|label| parsed(label).is_some()) {
            labels.sort_by_key(parsed);
        }
        let text = |label: &Label| match (label, parsed(label)) {
            (Label::Text(text), _) if !has_numbers => text.clone(),
            (_, Some(number)) => number.to_string(),
            (Label::Text(text), None) => text.clone(),
            (Label::Number(number), None) => number.to_string(),
        };
        // A number in one file and the same as text in another are one class.
        let mut names: Vec<String> = labels.iter().map(text).collect();
        names.dedup();
        let place = |name: &String| names.iter().position(|known| known == name);
        let numbers =
            labels.iter().filter_map(|label| Some((label.clone(), place(&text(label))? as u32)));
        Ok(Self { numbers: numbers.collect(), is_unlabelled, names })
    }

    fn named(
        labels: &BTreeSet<i64>,
        names: &[String],
        column: &str,
    ) -> Result<Self, ParquetProblem> {
        let has_name =
            |label: &&i64| usize::try_from(**label).is_ok_and(|place| place < names.len());
        if let Some(label) = labels.iter().find(|label| !has_name(label)) {
            let (column, names) = (column.to_string(), names.len());
            return Err(ParquetProblem::LabelWithoutName { column, label: *label, names });
        }
        // Of two classes of one name, a text is the first.
        let places = (0..names.len() as u32).rev();
        let both = |label: u32| {
            let text = Label::Text(names[label as usize].clone());
            [(text, label), (Label::Number(label.into()), label)]
        };
        let numbers = places.flat_map(both).collect();
        Ok(Self { names: distinct(names), numbers, is_unlabelled: true })
    }

    /// The class of a cell; `None` where the image has no label.
    pub(super) fn number(&self, cell: &Cell) -> Option<u32> {
        match cell {
            Cell::Number(UNLABELLED) if self.is_unlabelled => None,
            Cell::Number(number) => self.numbers.get(&Label::Number(*number)).copied(),
            Cell::Text(text) => self.numbers.get(&Label::Text(text.clone())).copied(),
            Cell::Missing | Cell::Broken(_) | Cell::NoText | Cell::Long(_) => None,
        }
    }
}

/// Whether a text is a list of labels, as Python prints one.
fn is_list(text: &str) -> bool {
    (text.starts_with('[') && text.ends_with(']')) || text.contains('|')
}

/// The names, with the label after one that another class has too: classes are known by their names.
fn distinct(names: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    names.iter().for_each(|name| *counts.entry(name).or_default() += 1);
    let name = |(label, name): (usize, &String)| match counts[name] {
        1 => name.clone(),
        _ => format!("{name} ({label})"),
    };
    names.iter().enumerate().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<Cell> {
        texts.iter().map(|text| Cell::Text((*text).to_string())).collect()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn check(cells: &[Cell], known: Option<&[String]>, classes: &[&str], numbers: &[Option<u32>]) {
        let cells_to_train_on = cells.iter().map(|cell| (cell, true));
        let found = Classes::of(cells_to_train_on, known, "label").unwrap();
        assert_eq!(found.names, classes);
        let got: Vec<Option<u32>> = cells.iter().map(|cell| found.number(cell)).collect();
        assert_eq!(got, numbers);
    }

    #[test]
    fn names_of_the_file_count_all_classes() {
        let known = names(&["cat", "dog", "owl"]);
        let cells = [Cell::Number(2), Cell::Number(-1), Cell::Missing, Cell::Number(0)];
        check(&cells, Some(&known), &["cat", "dog", "owl"], &[Some(2), None, None, Some(0)]);
        let twice = names(&["crane", "dog", "crane"]);
        check(&cells[..1], Some(&twice), &["crane (0)", "dog", "crane (2)"], &[Some(2)]);
        // Text has names of its own, unless they are the file's.
        check(&texts(&["b", "a"]), Some(&known), &["a", "b"], &[Some(1), Some(0)]);
        let both = [Cell::Number(0), Cell::Text("owl".to_string())];
        check(&both, Some(&known), &["cat", "dog", "owl"], &[Some(0), Some(2)]);
    }

    #[test]
    fn numbers_and_texts_name_themselves() {
        let cells = [10, 9, 0, -1].map(Cell::Number);
        check(&cells, None, &["-1", "0", "9", "10"], &[Some(3), Some(2), Some(1), Some(0)]);
        // Where no image to train on has it, -1 is no label.
        let parts = cells.iter().map(|cell| (cell, *cell != Cell::Number(-1)));
        let found = Classes::of(parts, None, "label").unwrap();
        assert_eq!(
            (&found.names[..], found.number(&cells[3])),
            (&names(&["0", "9", "10"])[..], None)
        );
        let signs = [1, -1].map(Cell::Number);
        check(&signs, None, &["-1", "1"], &[Some(1), Some(0)]);
        check(&texts(&["10", "9"]), None, &["9", "10"], &[Some(1), Some(0)]);
        let both = [Cell::Number(1), Cell::Text("1".to_string()), Cell::Text("2".to_string())];
        check(&both, None, &["1", "2"], &[Some(0), Some(0), Some(1)]);
        let zeros = [Cell::Number(1), Cell::Text("01".to_string()), Cell::Number(2)];
        check(&zeros, None, &["1", "2"], &[Some(0), Some(0), Some(1)]);
        check(&texts(&["1", "01"]), None, &["01", "1"], &[Some(1), Some(0)]);
    }

    #[test]
    fn labels_that_are_none_are_refused() {
        let refusal = |cells: &[Cell], known: Option<&[String]>| {
            let cells = cells.iter().map(|cell| (cell, true));
            Classes::of(cells, known, "label").unwrap_err().to_string()
        };
        let mixed = [Cell::Number(1), Cell::Text("cat".to_string())];
        let message = refusal(&mixed, None);
        assert!(message.contains("numbers, and texts such as 'cat'"), "{message}");
        assert!(refusal(&[Cell::Long(70_000)], None).contains("a label of 70000 bytes"));
        let known = names(&["cat", "dog"]);
        assert_eq!(
            refusal(&[Cell::Number(1), Cell::Number(7)], Some(&known)),
            "column label has the label 7, and the file names only 2 classes"
        );
        assert!(refusal(&[Cell::Number(-2)], Some(&known)).contains("the label -2"));
        assert!(refusal(&[Cell::Broken(0.5)], None).contains("the label 0.5"));
        assert!(refusal(&[Cell::NoText], None).contains("no text in UTF-8"));
        for list in ["['a', 'b']", "cat|dog"] {
            let message = refusal(&texts(&[list]), None);
            assert!(
                message.contains(list)
                    && message.contains("is several labels; those are read from tables"),
                "{message}"
            );
        }
    }
}
