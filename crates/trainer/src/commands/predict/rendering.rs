//! Answers as text, JSON or CSV, a piece at a time.

use std::path::Path;

use clap::ValueEnum;
use csv::WriterBuilder;
use serde_json::{Value, json};

use super::answer::{Answer, Guess, Outcome};
use crate::console::escape;

/// The form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One document, an array.
    Json,
    /// A document for each image, one a line.
    Jsonl,
    /// A table with a header; an image that cannot be read has no row.
    Csv,
}

impl Format {
    /// The format that the name of a file tells.
    pub(super) fn of_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// The eyes that see a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// A terminal, which obeys control characters.
    ByPeople,
    /// A file or a program, which gets names as they are.
    ByPrograms,
}

/// Answers in one format.
#[derive(Debug)]
pub(super) struct Rendering {
    format: Format,
    seen: Seen,
    /// Classes in a row of a table.
    top: usize,
    /// Answers so far.
    answers: u64,
}

impl Rendering {
    /// Answers of at most `top` classes in `format`.
    pub(super) fn new(format: Format, seen: Seen, top: usize) -> Self {
        Self { format, seen, top, answers: 0 }
    }

    /// The next `answers`; with the first ones, what stands before them.
    pub(super) fn next(&mut self, answers: &[Answer]) -> Vec<u8> {
        let before = self.answers;
        self.answers += answers.len() as u64;
        let lines = |line: fn(&Answer) -> String| answers.iter().map(line).collect::<String>();
        match self.format {
            Format::Text => lines(for_people).into_bytes(),
            Format::Jsonl => {
                lines(|answer| format!("{}\n", escape::json(&document(answer).to_string())))
                    .into_bytes()
            }
            Format::Json => {
                let element = |(place, answer): (u64, &Answer)| {
                    let separator = if place == 0 { "[\n" } else { ",\n" };
                    format!("{separator}  {}", indented(&document(answer)))
                };
                (before..).zip(answers).map(element).collect::<String>().into_bytes()
            }
            Format::Csv => {
                let header = (before == 0 && !answers.is_empty()).then(|| self.header());
                let read = answers
                    .iter()
                    .filter(|answer| !matches!(answer.outcome, Outcome::Unreadable(_)));
                self.rows(header.into_iter().chain(read.map(|answer| self.row(answer))))
            }
        }
    }

    /// The part after the last answer.
    pub(super) fn end(&self) -> &'static [u8] {
        match (self.format, self.answers) {
            (Format::Json, 0) => b"[]\n",
            (Format::Json, _) => b"\n]\n",
            _ => b"",
        }
    }

    fn header(&self) -> Vec<String> {
        let cells = |rank| [format!("label_{rank}"), format!("probability_{rank}")];
        let mut header = vec!["input".to_string()];
        header.extend((1..=self.top).flat_map(cells));
        header
    }

    fn row(&self, answer: &Answer) -> Vec<String> {
        let cells = |guess: &Guess| [guess.label.clone(), guess.probability.to_string()];
        let mut row = vec![answer.input.clone()];
        row.extend(answer.top().iter().flat_map(cells));
        row.resize(1 + 2 * self.top, String::new());
        row
    }

    fn rows(&self, rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
        let mut writer = WriterBuilder::new().from_writer(Vec::new());
        for row in rows {
            writer.write_record(row).expect("rows have one length, and memory takes them");
        }
        let bytes = writer.into_inner().expect("memory takes what is written");
        match (self.seen, std::str::from_utf8(&bytes)) {
            (Seen::ByPeople, Ok(text)) => escape::lines(text).into_owned().into_bytes(),
            _ => bytes,
        }
    }
}

/// `{input, top: [{class, label, probability}]}`, or `{input, error}`.
fn document(answer: &Answer) -> Value {
    if let Outcome::Unreadable(problem) = &answer.outcome {
        return json!({ "input": answer.input, "error": problem });
    }
    let entry = |Guess { class, label, probability }: &Guess| json!({ "class": class, "label": label, "probability": probability });
    let top: Vec<Value> = answer.top().iter().map(entry).collect();
    json!({ "input": answer.input, "top": top })
}

/// A document as it stands in an array.
fn indented(document: &Value) -> String {
    escape::json(&format!("{document:#}")).replace('\n', "\n  ")
}

/// The name of an input and a line for each class; nothing for one that cannot be read.
fn for_people(answer: &Answer) -> String {
    let line = |guess: &Guess| {
        format!("  {:6.2} %  {}\n", guess.probability * 100.0, escape::name(&guess.label))
    };
    let lines: String = match &answer.outcome {
        Outcome::Sure(guesses) => guesses.iter().map(line).collect(),
        Outcome::NotSure(Guess { label, probability, .. }) => {
            format!("  not sure (best: {} {:.1} %)\n", escape::name(label), probability * 100.0)
        }
        Outcome::Unreadable(_) => return String::new(),
    };
    format!("{}\n{lines}", escape::name(&answer.input))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> [Answer; 3] {
        let guess = |label: &str, probability| Guess { class: 3, label: label.into(), probability };
        let sure = vec![guess("a \"b\", c", 0.75), guess("d", 0.125)];
        [
            ("x.jpg", Outcome::Sure(sure)),
            ("line\nbreak\u{202e}.jpg", Outcome::NotSure(guess("frog", 0.412))),
            ("bad.jpg", Outcome::Unreadable("it is empty".into())),
        ]
        .map(|(input, outcome)| Answer { input: input.into(), outcome })
    }

    /// All answers, in the given pieces.
    fn rendered(format: Format, seen: Seen, piece: usize) -> String {
        let mut rendering = Rendering::new(format, seen, 2);
        let mut bytes = rendering.next(&[]);
        answers().chunks(piece).for_each(|answers| bytes.extend(rendering.next(answers)));
        bytes.extend(rendering.end());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn pieces_make_the_same_whole() {
        for format in Format::value_variants() {
            let whole = rendered(*format, Seen::ByPrograms, 3);
            assert_eq!(rendered(*format, Seen::ByPrograms, 1), whole, "{format:?}");
        }
    }

    #[test]
    fn a_document_is_printed_as_serde_prints_it() {
        let document = Value::Array(answers().iter().map(document).collect());
        let text = rendered(Format::Json, Seen::ByPrograms, 2);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
        assert_eq!(text, format!("{}\n", escape::json(&format!("{document:#}"))));
        let empty = Rendering::new(Format::Json, Seen::ByPrograms, 1);
        assert_eq!(empty.end(), b"[]\n");
    }

    #[test]
    fn a_table_keeps_every_name() {
        let text = rendered(Format::Csv, Seen::ByPrograms, 1);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = ["input", "label_1", "probability_1", "label_2", "probability_2"];
        assert_eq!(reader.headers().unwrap(), &header[..]);
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows[0], ["x.jpg", "a \"b\", c", "0.75", "d", "0.125"][..]);
        assert_eq!(rows[1], ["line\nbreak\u{202e}.jpg", "", "", "", ""][..]);
        assert_eq!(rows.len(), 2, "what cannot be read has no row");
        let shown = rendered(Format::Csv, Seen::ByPeople, 1);
        assert!(shown.contains("break\\u{202e}.jpg"), "{shown}");
    }

    #[test]
    fn people_are_told_where_no_class_is_sure() {
        let text = rendered(Format::Text, Seen::ByPeople, 1);
        assert_eq!(
            text,
            "x.jpg\n   75.00 %  a \"b\", c\n   12.50 %  d\nline\\nbreak\\u{202e}.jpg\n  not sure (best: frog 41.2 %)\n"
        );
    }

    #[test]
    fn the_ending_of_a_name_tells_the_format() {
        for (name, format) in [
            ("a.CSV", Some(Format::Csv)),
            ("a.jsonl", Some(Format::Jsonl)),
            ("a.json", Some(Format::Json)),
            ("a.txt", None),
            ("csv", None),
        ] {
            assert_eq!(Format::of_name(Path::new(name)), format, "{name}");
        }
    }
}
