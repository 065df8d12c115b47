//! The description of a network in Keras's files, in JSON: a tree of layers, each with its class, name and options.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Error;

/// A layer, or a model with the layers in it.
#[derive(Debug, Clone, PartialEq)]
pub struct KerasLayer {
    /// Its class, such as `Dense`.
    pub class: String,
    /// Its name, which is unique in its model.
    pub name: String,
    /// Its options, as Keras writes them.
    pub config: Value,
    /// The names of the layers that it reads, in the model around it.
    pub inputs: Vec<String>,
    /// The layers in it, in the order of the model; none for a layer.
    pub layers: Vec<KerasLayer>,
}

impl KerasLayer {
    /// Parses the `config.json` of a `.keras` archive, or the attribute `model_config` of an `.h5` file.
    ///
    /// # Errors
    /// Text that is no JSON, or does not describe a model.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let damaged = |problem: String| Error::Damaged(format!("its description: {problem}"));
        let root: Value =
            serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
        let model = Self::of(&root).ok_or_else(|| damaged("it is not of a model".to_string()))?;
        if model.layers.is_empty() {
            return Err(Error::Unsupported(format!(
                "its network is a {} without a list of layers; save a functional or sequential model",
                model.class
            )));
        }
        Ok(model)
    }

    /// JSON is at most 128 levels deep, so this ends.
    fn of(value: &Value) -> Option<Self> {
        let class = value.get("class_name")?.as_str()?.to_string();
        let mut config = value.get("config")?.clone();
        // Keras 1 and early Keras 2 list the layers of a sequential model without a name.
        let layers = match &mut config {
            Value::Object(fields) => fields.remove("layers"),
            list @ Value::Array(_) => Some(list.take()),
            _ => None,
        };
        let layers = layers.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let name = value.get("name").or_else(|| config.get("name"))?.as_str().unwrap_or("");
        let mut inputs = Vec::new();
        if let Some(nodes) = value.get("inbound_nodes") {
            inputs_of(nodes, &mut inputs);
        }
        let layers = layers.iter().filter_map(Self::of).collect();
        Some(Self { class, name: name.to_string(), config, inputs, layers })
    }

    /// Whether the layer `name` of this model is a model itself.
    pub(crate) fn has_model(&self, name: &str) -> bool {
        self.layers.iter().any(|layer| layer.name == name && !layer.layers.is_empty())
    }

    /// The path of layers' names for each path of groups in `.weights.h5`, which counts the layers of a class.
    pub(crate) fn names_of_groups(&self) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        self.name_groups("", "", &mut names);
        names
    }

    fn name_groups(&self, groups: &str, path: &str, names: &mut BTreeMap<String, String>) {
        let mut counts = BTreeMap::<String, usize>::new();
        for layer in &self.layers {
            let class = snake_case(&layer.class);
            let count = counts.entry(class.clone()).or_default();
            let group = if *count == 0 { class } else { format!("{class}_{count}") };
            *count += 1;
            let (group, name) = (format!("{groups}{group}"), format!("{path}{}", layer.name));
            layer.name_groups(&format!("{group}/"), &format!("{name}/"), names);
            names.insert(group, name);
        }
    }
}

/// The names of layers in a list of nodes: `[[["conv", 0, 0, {}]]]`, or tensors with a `keras_history`.
fn inputs_of(nodes: &Value, inputs: &mut Vec<String>) {
    match nodes {
        Value::Array(items) => match &items[..] {
            [Value::String(name), Value::Number(_), Value::Number(_), ..] => {
                inputs.push(name.clone());
            }
            items => items.iter().for_each(|item| inputs_of(item, inputs)),
        },
        Value::Object(fields) => fields.values().for_each(|field| inputs_of(field, inputs)),
        _ => {}
    }
}

/// Keras's name of a class in groups: `SeparableConv2D` to `separable_conv2d`.
fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut name = String::new();
    for (place, &letter) in letters.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| letters[before]);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || letters.get(place + 1).is_some_and(|after| after.is_ascii_lowercase())
            });
        if starts_word {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_called_as_keras_calls_their_groups() {
        // keras.src.utils.naming.to_snake_case
        for (class, expected) in [
            ("SeparableConv2D", "separable_conv2d"),
            ("BatchNormalization", "batch_normalization"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("Functional", "functional"),
            ("ReLU", "re_lu"),
            ("LSTM", "lstm"),
            ("TFOpLambda", "tf_op_lambda"),
            ("Dense", "dense"),
            ("PReLU", "p_re_lu"),
            ("UpSampling2D", "up_sampling2d"),
            ("My_Layer", "my__layer"),
        ] {
            assert_eq!(snake_case(class), expected);
        }
    }

    #[test]
    fn layers_of_a_model_in_a_model_have_paths() {
        let json = br#"{"class_name": "Functional", "config": {"name": "m", "layers": [
            {"class_name": "InputLayer", "name": "in", "config": {"name": "in"}, "inbound_nodes": []},
            {"class_name": "Functional", "name": "base", "inbound_nodes": [[["in", 0, 0, {}]]],
             "config": {"name": "base", "layers": [
                {"class_name": "Conv2D", "config": {"name": "a"}},
                {"class_name": "Conv2D", "config": {"name": "b"}}]}},
            {"class_name": "Dense", "config": {"name": "top"}, "inbound_nodes": [{"args": [
                {"class_name": "__keras_tensor__", "config": {"keras_history": ["base", 0, 0]}}]}]}]}}"#;
        let network = KerasLayer::parse(json).unwrap();
        assert!(network.has_model("base") && !network.has_model("top"));
        let names = network.names_of_groups();
        assert_eq!(names["functional/conv2d"], "base/a");
        assert_eq!(names["functional/conv2d_1"], "base/b");
        assert_eq!(names["dense"], "top");
        assert_eq!(network.layers[1].inputs, ["in"]);
        assert_eq!(network.layers[2].inputs, ["base"]);
    }

    #[test]
    fn other_descriptions_are_refused() {
        for (json, expected) in [
            (&b"{"[..], "is damaged: its description: "),
            (b"[]", "it is not of a model"),
            (
                br#"{"class_name": "Mine", "config": {"name": "m"}}"#,
                "its network is a Mine without",
            ),
        ] {
            let error = KerasLayer::parse(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
