//! The labels of an image in an archive: a number or a list of numbers, in a member beside the image.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::image_files::skipped::Skipped;

/// The longest member with labels, in bytes.
const LONGEST: u64 = 1 << 20;

/// The labels of an image, as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Labels {
    /// A number.
    One(u32),
    /// A list, of any length: the set is a multi-label one.
    List(Vec<u32>),
}

impl Labels {
    /// Whether they were written as a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self, Labels::List(_))
    }

    /// Every label, in the order of the member.
    pub(super) fn all(&self) -> &[u32] {
        match self {
            Labels::One(label) => std::slice::from_ref(label),
            Labels::List(labels) => labels,
        }
    }

    /// The least label; 0 for none.
    pub(super) fn first(&self) -> u32 {
        self.all().iter().min().copied().unwrap_or(0)
    }

    /// The labels in the text of the `.cls` member `name`.
    fn of_cls(name: &str, text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        if let Ok(label) = trimmed.parse() {
            return Ok(Labels::One(label));
        }
        let inner = trimmed.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let list = inner.unwrap_or(trimmed).trim();
        if inner.is_none() && !list.contains(',') {
            return Err(format!("{name} is not a label: {text:?}"));
        }
        if list.is_empty() {
            return Ok(Labels::List(Vec::new()));
        }
        let numbers: Result<Vec<u32>, _> =
            list.split(',').map(|part| part.trim().parse()).collect();
        numbers.map(Labels::List).map_err(|_| {
            format!("{name} is not a list of labels: {text:?}; expected numbers of classes, such as 3,17")
        })
    }

    /// The labels in the `.json` member `name`; `None` where it says none.
    fn of_json(name: &str, text: &[u8]) -> Result<Option<Self>, String> {
        let document: Value =
            serde_json::from_slice(text).map_err(|error| format!("{name} is no JSON: {error}"))?;
        let list = match &document {
            Value::Object(fields) => fields.get("labels"),
            other => Some(other),
        };
        let Some(list) = list else { return Ok(None) };
        let refuse = |value: &Value| {
            format!(
                "{name}: {value} is no list of labels; expected numbers of classes, [3, 17] or {{\"labels\": [3, 17]}}"
            )
        };
        let numbers = list.as_array().ok_or_else(|| refuse(list))?.iter();
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let numbers: Option<Vec<u32>> = numbers.map(number).collect();
        Ok(Some(Labels::List(numbers.ok_or_else(|| refuse(list))?)))
    }
}

/// The members of a sample that may have its labels.
#[derive(Debug, Default)]
pub(super) struct Members {
    cls: Option<Labels>,
    /// The name and the content of `KEY.json`, which counts where there is no `KEY.cls`.
    json: Option<(String, Vec<u8>)>,
}

impl Members {
    /// Reads the `.cls` member `name`. The inner error is that of the content.
    pub(super) fn add_cls(
        &mut self,
        name: &str,
        member: impl Read,
    ) -> io::Result<Result<(), String>> {
        let mut text = String::new();
        member.take(LONGEST + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LONGEST {
            return Ok(Err(too_long(name)));
        }
        Ok(Labels::of_cls(name, &text).map(|labels| self.cls = Some(labels)))
    }

    /// Reads the `.json` member `name`, where it may count.
    pub(super) fn add_json(
        &mut self,
        name: String,
        member: impl Read,
        skipped: &mut Skipped,
    ) -> io::Result<()> {
        if self.cls.is_some() {
            skipped.add(&name);
            return Ok(());
        }
        let mut text = Vec::new();
        member.take(LONGEST + 1).read_to_end(&mut text)?;
        self.json = Some((name, text));
        Ok(())
    }

    /// The labels of the sample `key`, which has an image or not.
    pub(super) fn finish(
        self,
        key: &str,
        has_image: bool,
        skipped: &mut Skipped,
    ) -> Result<Option<Labels>, String> {
        let Self { cls, json } = self;
        match (cls, json) {
            (None, Some((name, text))) if has_image => {
                if text.len() as u64 > LONGEST {
                    return Err(too_long(&name));
                }
                let without = || {
                    format!("{key} has an image but no label ({key}.cls, or \"labels\" in {name})")
                };
                Labels::of_json(&name, &text)?.map(Some).ok_or_else(without)
            }
            (None, None) if has_image => {
                Err(format!("{key} has an image but no label ({key}.cls)"))
            }
            (cls, json) => {
                json.iter().for_each(|(name, _)| skipped.add(name));
                Ok(cls)
            }
        }
    }
}

fn too_long(name: &str) -> String {
    format!("{name} has more than 1 MiB, too much for labels")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_label_and_a_list_any_number() {
        let read = |text: &str| Labels::of_cls("1.cls", text);
        assert_eq!(read(" 7\n"), Ok(Labels::One(7)));
        for (text, expected) in
            [("3,17", &[3, 17][..]), ("[3, 17]\n", &[3, 17]), ("[3]", &[3]), ("[ ]", &[])]
        {
            assert_eq!(read(text), Ok(Labels::List(expected.to_vec())), "{text:?}");
        }
        for text in ["", "one", "3 17", "-1", "4294967296"] {
            assert_eq!(read(text), Err(format!("1.cls is not a label: {text:?}")));
        }
        for text in ["3,", ",3", "3,x", "[3 17]", "[3,-1]"] {
            let refused = read(text).unwrap_err();
            assert!(refused.starts_with("1.cls is not a list of labels: "), "{refused}");
        }
    }

    #[test]
    fn json_has_a_list_itself_or_as_labels() {
        let read = |text: &str| Labels::of_json("1.json", text.as_bytes());
        for text in ["[3, 17]", r#"{"labels": [3, 17], "label": 2}"#] {
            assert_eq!(read(text), Ok(Some(Labels::List(vec![3, 17]))), "{text}");
        }
        assert_eq!(read(r#"{"labels": []}"#), Ok(Some(Labels::List(vec![]))));
        assert_eq!(read(r#"{"caption": "a cat"}"#), Ok(None));
        for text in ["7", "[1.5]", "[-1]", r#"["cat"]"#, r#"{"labels": 3}"#, "[4294967296]"] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains("is no list of labels; expected"), "{refused}");
        }
        assert!(read("[3, 17").unwrap_err().starts_with("1.json is no JSON: "));
    }

    #[test]
    fn a_member_that_is_too_long_is_refused_and_not_cut() {
        let mut members = Members::default();
        let text = "1".to_string() + &" ".repeat(1 << 20);
        let refused = members.add_cls("1.cls", text.as_bytes()).unwrap().unwrap_err();
        assert_eq!(refused, "1.cls has more than 1 MiB, too much for labels");
    }
}
