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

/// The preprocessing that the network implies, `own` for the rest: the sides of its images, squashed as Keras's data sets
/// are, and a layer that rescales them.
pub(super) fn preprocessing(network: &KerasLayer, own: Preprocessing) -> Preprocessing {
    let mut found = own;
    found.fit = Fit::Squash;
    found.crop_fraction = 1.0;
    let shape = |layer: &KerasLayer| {
        let shape =
            ["batch_shape", "batch_input_shape"].iter().find_map(|key| layer.config.get(*key));
        let sides: Vec<i64> =
            shape?.as_array()?.iter().map(|size| size.as_i64().unwrap_or(0)).collect();
        match sides[..] {
            [_, rows, columns, _] if rows == columns && rows > 0 => Some(rows),
            _ => None,
        }
    };
    // The outermost: a network may resize its images, and the one in it takes another size.
    let mut sides = std::iter::once(network).chain(every_layer(network)).filter_map(shape);
    found.side = sides.next().unwrap_or(found.side);
    let rescaling = every_layer(network).find(|layer| layer.class == "Rescaling");
    let number = |layer: &KerasLayer, key: &str| layer.config.get(key).and_then(Value::as_f64);
    if let Some(layer) = rescaling
        && let (Some(scale), Some(offset)) = (number(layer, "scale"), number(layer, "offset"))
        && scale > 0.0
    {
        // Bytes times the scale plus the offset; ours are divided by 255, less the mean, by the deviation.
        let std = 1.0 / (255.0 * scale);
        (found.mean, found.std) = ([-offset * std; 3], [std; 3]);
    }
    found
}

/// The reason why the layers after the backbone are more than a pool and the linear layer `head`, where they are.
pub(super) fn head_problem(network: &KerasLayer, container: &str, head: &str) -> Option<String> {
    let mut after: Vec<&KerasLayer> = Vec::new();
    let mut model = network;
    for name in container.split('/').filter(|name| !name.is_empty()) {
        let place = model.layers.iter().position(|layer| layer.name == name)?;
        after.splice(0..0, &model.layers[place + 1..]);
        model = &model.layers[place];
    }
    let last = model.layers.iter().rposition(|layer| layer.name.starts_with(LAST_BLOCK));
    after.splice(0..0, &model.layers[last.map_or(model.layers.len(), |last| last + 1)..]);
    let is_fine = |layer: &&KerasLayer| {
        let linear = matches!(activation(layer), "linear" | "softmax");
        NEUTRAL.contains(&layer.class.as_str())
            || (layer.class == "Activation" && linear)
            || (layer.class == "Dense" && layer.name == head && linear)
    };
    if after.iter().all(is_fine) {
        return None;
    }
    let layers: Vec<String> = after.iter().map(|layer| described(layer)).collect();
    Some(format!("it is more than a linear layer ({})", layers.join(", ")))
}

fn activation(layer: &KerasLayer) -> &str {
    layer.config.get("activation").and_then(Value::as_str).unwrap_or("linear")
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

/// Every layer of a network, those of the networks in it too.
fn every_layer(network: &KerasLayer) -> impl Iterator<Item = &KerasLayer> {
    let mut open: Vec<&KerasLayer> = network.layers.iter().rev().collect();
    std::iter::from_fn(move || {
        let layer = open.pop()?;
        open.extend(layer.layers.iter().rev());
        Some(layer)
    })
}
