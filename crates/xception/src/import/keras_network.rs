//! The description of a network in Keras's files: the images that it takes, and the layers after the backbone.

use serde_json::Value;
use weight_files::KerasLayer;

use crate::preprocessing::{Fit, Preprocessing};

/// Layers between the backbone and the head that do nothing in evaluation, and the pool, which every network here has.
const NEUTRAL: [&str; 6] = [
    "GlobalAveragePooling2D",
    "Dropout",
    "Flatten",
    "InputLayer",
    "Softmax",
    "ActivityRegularization",
];

/// Layers of the backbone's last block, in every version of Keras.
const LAST_BLOCK: &str = "block14_";
/// The backbone's first layer.
const FIRST_LAYER: &str = "block1_conv1";

/// Layers before the backbone that do nothing in evaluation.
const AUGMENTATION: [&str; 5] =
    ["InputLayer", "Dropout", "GaussianNoise", "GaussianDropout", "ActivityRegularization"];

/// Models, of which the layers count.
const MODELS: [&str; 3] = ["Functional", "Sequential", "Model"];

/// The layers around the backbone.
#[derive(Default)]
struct Around<'a> {
    /// From the images to the backbone, in order.
    before: Vec<&'a KerasLayer>,
    /// From the backbone to the answer.
    after: Vec<&'a KerasLayer>,
}

/// The layers around the backbone, which may lie in models in the model; `None` where it is not found.
fn around(model: &KerasLayer) -> Option<Around<'_>> {
    let layers = &model.layers;
    if let Some(last) = layers.iter().rposition(|layer| layer.name.starts_with(LAST_BLOCK)) {
        let first = layers.iter().position(|layer| layer.name.starts_with(FIRST_LAYER));
        let before = layers[..first.unwrap_or(0)].iter().collect();
        return Some(Around { before, after: layers[last + 1..].iter().collect() });
    }
    layers.iter().enumerate().find_map(|(place, layer)| {
        let mut inner = around(layer)?;
        inner.before.splice(0..0, &layers[..place]);
        inner.after.extend(&layers[place + 1..]);
        Some(inner)
    })
}

/// The preprocessing that the network implies, `own` for the rest: the sides of the images that its backbone takes, squashed
/// as Keras's data sets are, and layers that rescale them.
pub(super) fn preprocessing(network: &KerasLayer, own: Preprocessing) -> Preprocessing {
    let mut found = own;
    found.fit = Fit::Squash;
    found.crop_fraction = 1.0;
    let around = around(network).unwrap_or_default();
    // The innermost: a network may resize its images on their way to the one in it.
    found.side = around
        .before
        .iter()
        .rev()
        .find_map(|layer| side(layer))
        .or_else(|| side(network))
        .unwrap_or(found.side);
    // A byte times the scale plus the offset, of red, green and blue.
    let mut affine: Option<[[f64; 3]; 2]> = None;
    for layer in flat(&around.before).filter(|layer| layer.class == "Rescaling") {
        let Some([scale, offset]) = rescaling(layer) else { continue };
        let [scales, offsets] = affine.unwrap_or([[1.0; 3], [0.0; 3]]);
        let each = |of: &dyn Fn(usize) -> f64| [0, 1, 2].map(of);
        affine =
            Some([each(&|c| scales[c] * scale[c]), each(&|c| offsets[c] * scale[c] + offset[c])]);
    }
    if let Some([scales, offsets]) = affine {
        // Ours are divided by 255, less the mean, by the deviation.
        found.std = scales.map(|scale| 1.0 / (255.0 * scale));
        found.mean = [0, 1, 2].map(|c: usize| -offsets[c] * found.std[c]);
    }
    found
}

/// Scale and offset of a layer that rescales; one number is for all colours.
fn rescaling(layer: &KerasLayer) -> Option<[[f64; 3]; 2]> {
    let colours = |key: &str, otherwise: f64| match layer.config.get(key) {
        None | Some(Value::Null) => Some([otherwise; 3]),
        Some(Value::Array(values)) => {
            let values: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
            values?.try_into().ok()
        }
        Some(value) => Some([value.as_f64()?; 3]),
    };
    let scale = colours("scale", 1.0)?;
    scale.iter().all(|&scale| scale > 0.0).then_some(())?;
    Some([scale, colours("offset", 0.0)?])
}

/// The side of the square images that a layer takes.
fn side(layer: &KerasLayer) -> Option<i64> {
    let shape = ["batch_shape", "batch_input_shape"].iter().find_map(|key| layer.config.get(*key));
    let sides: Vec<i64> =
        shape?.as_array()?.iter().map(|size| size.as_i64().unwrap_or(0)).collect();
    match sides[..] {
        [_, rows, columns, _] if rows == columns && rows > 0 => Some(rows),
        _ => None,
    }
}

/// `layers`, and those of the models among them.
fn flat<'a>(layers: &[&'a KerasLayer]) -> impl Iterator<Item = &'a KerasLayer> {
    let mut open: Vec<&KerasLayer> = layers.iter().rev().copied().collect();
    std::iter::from_fn(move || {
        let layer = open.pop()?;
        open.extend(layer.layers.iter().rev());
        Some(layer)
    })
}

/// The reason why more than a pool and the linear layer `head` would have to be carried over, where it would.
pub(super) fn head_problem(network: &KerasLayer, head: &str) -> Option<String> {
    let Some(Around { before, after }) = around(network) else {
        return Some(
            "the description of the network does not show what follows the backbone".to_string(),
        );
    };
    let is_fine = |layer: &KerasLayer| {
        let linear = matches!(activation(layer), "linear" | "softmax");
        NEUTRAL.contains(&layer.class.as_str())
            || MODELS.contains(&layer.class.as_str())
            || (layer.class == "Activation" && linear)
            || (layer.class == "Dense" && layer.name == head && linear)
    };
    if !flat(&after).all(is_fine) {
        return Some(format!("it is more than a linear layer ({})", listed(&after)));
    }
    let class = |layer: &KerasLayer| {
        let class = layer.class.as_str();
        AUGMENTATION.contains(&class)
            || MODELS.contains(&class)
            || class.starts_with("Random")
            || (class == "Rescaling" && rescaling(layer).is_some())
    };
    let others: Vec<&KerasLayer> = flat(&before).filter(|layer| !class(layer)).collect();
    // Keras's own preprocessing, called in the network: a division by 127.5, less 1.
    let names: Vec<&str> = others.iter().map(|layer| layer.name.as_str()).collect();
    let is_own = matches!(names[..], [one, two] if one.contains("divide") && two.contains("subtract"))
        || matches!(names[..], [one, two] if one.contains("truediv") && two.contains("subtract"));
    if others.is_empty() || is_own {
        return None;
    }
    Some(format!(
        "the network changes images in a way that is not carried over ({})",
        listed(&others)
    ))
}

fn listed(layers: &[&KerasLayer]) -> String {
    let layers: Vec<String> = layers.iter().map(|layer| described(layer)).collect();
    layers.join(", ")
}

/// The name of an activation; one that is not a name is not linear.
fn activation(layer: &KerasLayer) -> &str {
    match layer.config.get("activation") {
        None | Some(Value::Null) => "linear",
        Some(Value::String(name)) => name,
        Some(_) => "another activation",
    }
}

fn described(layer: &KerasLayer) -> String {
    match (layer.class.as_str(), layer.config.get("units").and_then(Value::as_u64)) {
        ("Dense", Some(units)) => match activation(layer) {
            "linear" => format!("Dense({units})"),
            activation => format!("Dense({units}, {activation})"),
        },
        (class, _) => class.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::preset::Preset;

    fn layer(class: &str, name: &str, config: Value) -> Value {
        let mut config = config;
        config["name"] = json!(name);
        json!({ "class_name": class, "config": config })
    }

    /// A network whose backbone is a layer of it, with layers before and after that.
    fn network(before: Vec<Value>, after: Vec<Value>) -> KerasLayer {
        let input =
            |side: i64| layer("InputLayer", "in", json!({ "batch_shape": [null, side, side, 3] }));
        let base = layer(
            "Functional",
            "base",
            json!({ "layers": [
                input(96),
                layer("Conv2D", "block1_conv1", json!({})),
                layer("Activation", "block14_sepconv2_act", json!({ "activation": "relu" })),
            ] }),
        );
        let layers: Vec<Value> =
            std::iter::once(input(32)).chain(before).chain([base]).chain(after).collect();
        let whole = layer("Functional", "whole", json!({ "layers": layers }));
        KerasLayer::parse(whole.to_string().as_bytes()).unwrap()
    }

    fn pool() -> Value {
        layer("GlobalAveragePooling2D", "pool", json!({}))
    }

    fn dense(activation: Value) -> Value {
        layer("Dense", "answer", json!({ "units": 5, "activation": activation }))
    }

    #[test]
    fn heads_that_are_more_than_a_linear_layer_are_known() {
        let problem = |after: Vec<Value>| head_problem(&network(Vec::new(), after), "answer");
        for activation in [json!("softmax"), json!("linear"), Value::Null] {
            assert_eq!(problem(vec![pool(), dense(activation)]), None);
        }
        for activation in [json!("sigmoid"), json!({ "class_name": "LeakyReLU", "config": {} })] {
            let said = problem(vec![pool(), dense(activation)]).unwrap();
            assert!(said.starts_with("it is more than a linear layer ("), "{said}");
        }
        for extra in ["BatchNormalization", "GlobalMaxPooling2D", "Multiply"] {
            let said = problem(vec![layer(extra, "x", json!({})), pool(), dense(json!("softmax"))]);
            assert!(said.unwrap().contains(extra));
        }
        let bare = json!({ "class_name": "Sequential", "config": { "name": "s", "layers": [dense(Value::Null)] } });
        let bare = KerasLayer::parse(bare.to_string().as_bytes()).unwrap();
        assert!(head_problem(&bare, "answer").unwrap().contains("does not show"));
    }

    #[test]
    fn layers_before_the_backbone_are_understood_or_named() {
        let rescaling = |scale: Value, offset: Value| {
            layer("Rescaling", "r", json!({ "scale": scale, "offset": offset }))
        };
        let of = |before: Vec<Value>| {
            let network = network(before, vec![pool(), dense(Value::Null)]);
            let found = preprocessing(&network, Preset::XceptionKeras.preprocessing());
            let rounded = |values: [f64; 3]| values.map(|value| (value * 1e9).round() / 1e9);
            (rounded(found.mean), rounded(found.std), found.side, head_problem(&network, "answer"))
        };
        let flip = || layer("RandomFlip", "flip", json!({}));
        assert_eq!(of(vec![flip()]), ([0.5; 3], [0.5; 3], 96, None));
        let by_255 = || rescaling(json!(1.0 / 255.0), json!(0.0));
        assert_eq!(of(vec![by_255()]), ([0.0; 3], [1.0; 3], 96, None));
        let chain = vec![flip(), by_255(), rescaling(json!(2.0), json!(-1.0))];
        assert_eq!(of(chain), ([0.5; 3], [0.5; 3], 96, None));
        let colours =
            rescaling(json!([1.0 / 255.0, 2.0 / 255.0, 4.0 / 255.0]), json!([0.0, -1.0, 0.5]));
        assert_eq!(of(vec![colours]), ([0.0, 0.5, -0.125], [1.0, 0.5, 0.25], 96, None));
        for unknown in [
            "Normalization",
            "BatchNormalization",
            "Conv2D",
            "UpSampling2D",
            "Resizing",
            "ZeroPadding2D",
            "TrueDivide",
        ] {
            let (.., side, problem) = of(vec![layer(unknown, "x", json!({}))]);
            let problem = problem.unwrap();
            assert!(
                problem.contains("changes images in a way") && problem.contains(unknown),
                "{problem}"
            );
            assert_eq!(side, 96, "the backbone's");
        }
        let own = vec![
            layer("TrueDivide", "true_divide", json!({})),
            layer("Subtract", "subtract", json!({})),
        ];
        assert_eq!(of(own), ([0.5; 3], [0.5; 3], 96, None));
    }
}
