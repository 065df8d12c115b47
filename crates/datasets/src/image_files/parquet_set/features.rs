//! The text in which Hugging Face's `datasets` describes the columns of a file: images, and classes with their names.

use std::collections::BTreeMap;

use parquet::file::metadata::KeyValue;
use serde_json::Value;

/// The key of the text in a file's footer.
const KEY: &str = "huggingface";

/// The columns that the text describes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Features {
    /// The columns of images.
    pub(super) images: Vec<String>,
    /// The columns of classes, each with the names by label.
    pub(super) classes: BTreeMap<String, Vec<String>>,
}

impl Features {
    /// Those of a footer. A text that says something else says nothing.
    pub(super) fn of(entries: Option<&Vec<KeyValue>>) -> Self {
        let mut features = Self::default();
        let text = entries.into_iter().flatten().find(|entry| entry.key == KEY);
        let text = text.and_then(|entry| entry.value.as_deref()).unwrap_or_default();
        let parsed: Value = serde_json::from_str(text).unwrap_or_default();
        let Some(columns) = parsed.pointer("/info/features").and_then(Value::as_object) else {
            return features;
        };
        for (column, feature) in columns {
            match feature.get("_type").and_then(Value::as_str) {
                Some("Image") => features.images.push(column.clone()),
                Some("ClassLabel") => {
                    if let Some(names) = names(feature) {
                        features.classes.insert(column.clone(), names);
                    }
                }
                _ => {}
            }
        }
        features
    }
}

/// The names of a column of classes: a list, or in old files an object with the numbers as keys.
fn names(feature: &Value) -> Option<Vec<String>> {
    let text = |name: &Value| name.as_str().map(ToString::to_string);
    match feature.get("names")? {
        Value::Array(names) => names.iter().map(text).collect(),
        Value::Object(names) => {
            (0..names.len()).map(|label| names.get(&label.to_string()).and_then(text)).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(text: &str) -> Features {
        Features::of(Some(&vec![KeyValue::new(KEY.to_string(), text.to_string())]))
    }

    #[test]
    fn columns_of_images_and_classes_are_told() {
        let found = features(
            r#"{"info": {"features": {"img": {"_type": "Image"}, "n": {"dtype": "int64", "_type": "Value"},
            "kind": {"names": ["cat", "dog"], "_type": "ClassLabel"},
            "old": {"names": {"1": "b", "0": "a"}, "_type": "ClassLabel"},
            "bare": {"num_classes": 3, "_type": "ClassLabel"}}}}"#,
        );
        assert_eq!(found.images, ["img"]);
        assert_eq!(found.classes["kind"], ["cat", "dog"]);
        assert_eq!(found.classes["old"], ["a", "b"]);
        assert_eq!(found.classes.len(), 2, "without names there is nothing to tell");
    }

    #[test]
    fn other_texts_say_nothing() {
        let deep = "[".repeat(100_000);
        for text in ["", "{}", "nonsense", r#"{"info": {"features": 3}}"#, &deep] {
            assert_eq!(features(text), Features::default());
        }
        assert_eq!(Features::of(None), Features::default());
    }
}
