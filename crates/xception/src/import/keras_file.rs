//! Keras's files under Keras's names. A file numbers the variables of a layer, and names the layer in one of three ways.
//!
//! Files of Keras 1 and 2 have the model's own names (`block2_sepconv1`), but for the four shortcuts, which Keras numbers
//! for a whole process: `conv2d_17` may be the first of them. Files of Keras 3 (`.weights.h5`) have no names at
//! all, and count the layers of each class: `separable_conv2d_3`.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::weights::Tensors;

/// Convolutions and norms of the shortcuts as Keras 1, and as Keras 2 and 3 call them.
const COUNTED: [(&str, &str); 4] = [
    ("convolution2d", "conv2d"),
    ("conv2d", "conv2d"),
    ("batchnormalization", "batch_normalization"),
    ("batch_normalization", "batch_normalization"),
];

/// The variables of each model of a file (`MODEL/LAYER/NUMBER`), under the names that their layers give them, by the path
/// of the model with a stroke at its end; `None` for tensors that come from no file of Keras.
pub(super) fn containers(tensors: &Tensors) -> Option<BTreeMap<String, Tensors>> {
    let mut containers = BTreeMap::<&str, Tensors>::new();
    for (name, tensor) in tensors {
        let (path, number) = name.rsplit_once('/')?;
        number.parse::<usize>().ok()?;
        let start = path.rfind('/').map_or(0, |stroke| stroke + 1);
        let own = containers.entry(&name[..start]).or_default();
        own.insert(name[start..].to_string(), tensor.shallow_clone());
    }
    let named = |(path, tensors): (&str, Tensors)| Some((path.to_string(), named(&tensors)?));
    let containers: BTreeMap<_, _> = containers.into_iter().map(named).collect::<Option<_>>()?;
    (!containers.is_empty()).then_some(containers)
}

/// `tensors` under the names `LAYER/VARIABLE` of the network as Keras builds it, if they come from a file
/// (`LAYER/NUMBER`); else as they are.
fn named(tensors: &Tensors) -> Option<Tensors> {
    let mut layers: BTreeMap<&str, BTreeMap<usize, &Tensor>> = BTreeMap::new();
    for (name, tensor) in tensors {
        let (layer, number) = name.rsplit_once('/')?;
        layers.entry(layer).or_default().insert(number.parse().ok()?, tensor);
    }
    let by_class = layers.contains_key("separable_conv2d");
    let mut counted: BTreeMap<&str, Vec<(u64, &str)>> = BTreeMap::new();
    for &layer in layers.keys() {
        if let Some((class, count)) = counted_layer(layer) {
            counted.entry(class).or_default().push((count, layer));
        }
    }
    let mut names: BTreeMap<&str, String> =
        layers.keys().map(|&layer| (layer, layer.to_string())).collect();
    for (class, mut members) in counted {
        members.sort_unstable();
        let order = if by_class { order_of_class(class) } else { shortcuts(class) };
        for (place, (count, layer)) in members.into_iter().enumerate() {
            // A class is numbered from its first layer; shortcuts from wherever the process was.
            let number = if by_class { count as usize } else { place };
            if let Some(name) = order.get(number) {
                names.insert(layer, name.clone());
            }
        }
    }
    let mut named = Tensors::new();
    for (layer, variables) in &layers {
        for ((_, tensor), variable) in variables.iter().zip(variables_of(variables)) {
            named.insert(format!("{}/{variable}", names[layer]), tensor.shallow_clone());
        }
    }
    Some(named)
}

/// The class and number of a layer that Keras named itself. Keras 1 counts from 1; later versions leave the first number
/// out.
fn counted_layer(layer: &str) -> Option<(&'static str, u64)> {
    if let Some((_, class)) = COUNTED.iter().find(|(known, _)| *known == layer) {
        return Some((class, 0));
    }
    if layer == "separable_conv2d" || layer == "dense" {
        return Some((if layer == "dense" { "dense" } else { "separable_conv2d" }, 0));
    }
    let (class, count) = layer.rsplit_once('_')?;
    let count = count.parse().ok()?;
    if class == "separable_conv2d" {
        return Some(("separable_conv2d", count));
    }
    COUNTED.iter().find(|(known, _)| *known == class).map(|(_, class)| (*class, count))
}

/// The names of the four shortcuts' layers.
fn shortcuts(class: &str) -> Vec<String> {
    (0..4).map(|number| shortcut(class, number)).collect()
}

fn shortcut(class: &str, number: usize) -> String {
    if number == 0 { class.to_string() } else { format!("{class}_{number}") }
}

/// The names of all layers of a class, in the order of the model: each shortcut comes after its module's last norm.
fn order_of_class(class: &str) -> Vec<String> {
    let separables = |block: usize| 1..=if (5..=12).contains(&block) { 3 } else { 2 };
    let blocks = 2..=14_usize;
    match class {
        "conv2d" => {
            let stem = (1..=2).map(|number| format!("block1_conv{number}"));
            stem.chain(shortcuts(class)).collect()
        }
        "separable_conv2d" => blocks
            .flat_map(|block| {
                separables(block).map(move |number| format!("block{block}_sepconv{number}"))
            })
            .collect(),
        "batch_normalization" => {
            let mut names: Vec<String> =
                (1..=2).map(|number| format!("block1_conv{number}_bn")).collect();
            for block in blocks {
                let norms =
                    separables(block).map(|number| format!("block{block}_sepconv{number}_bn"));
                names.extend(norms);
                let place = [2, 3, 4, 13].iter().position(|&with| with == block);
                names.extend(place.map(|number| shortcut(class, number)));
            }
            names
        }
        _ => vec!["predictions".to_string()],
    }
}

/// The variables of a layer, by their number and the shape of the first one.
fn variables_of(variables: &BTreeMap<usize, &Tensor>) -> &'static [&'static str] {
    let axes = variables.values().next().map_or(0, |first| first.dim());
    match (variables.len(), axes) {
        (1, _) => &["kernel"],
        (2, 4) => &["depthwise_kernel", "pointwise_kernel"],
        (2, _) => &["kernel", "bias"],
        (4, _) => &["gamma", "beta", "moving_mean", "moving_variance"],
        // No layer of this network; the comparison of names will say so.
        _ => &["0", "1", "2", "3", "4", "5", "6", "7"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn tensors(shapes: &[(&str, &[i64])]) -> Tensors {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        shapes.iter().map(|(name, shape)| (name.to_string(), zeros(shape))).collect()
    }

    fn names(shapes: &[(&str, &[i64])]) -> Vec<String> {
        named(&tensors(shapes)).unwrap().into_keys().collect()
    }

    #[test]
    fn shortcuts_are_numbered_from_wherever_the_process_was() {
        let kernel: &[i64] = &[1, 1, 2, 3];
        for names in [
            names(&[("conv2d_9/0", kernel), ("conv2d_10/0", kernel), ("block1_conv1/0", kernel)]),
            names(&[
                ("convolution2d_1/0", kernel),
                ("convolution2d_2/0", kernel),
                ("block1_conv1/0", kernel),
            ]),
            names(&[("conv2d/0", kernel), ("conv2d_1/0", kernel), ("block1_conv1/0", kernel)]),
        ] {
            assert_eq!(names, ["block1_conv1/kernel", "conv2d/kernel", "conv2d_1/kernel"]);
        }
    }

    #[test]
    fn layers_without_names_are_known_by_their_order() {
        let kernel: &[i64] = &[3, 3, 2, 1];
        let got = names(&[
            ("conv2d/0", kernel),
            ("conv2d_1/0", kernel),
            ("conv2d_2/0", kernel),
            ("separable_conv2d/0", kernel),
            ("separable_conv2d/1", kernel),
            ("separable_conv2d_11/0", kernel),
            ("separable_conv2d_11/1", kernel),
            ("dense/0", &[4, 2]),
            ("dense/1", &[2]),
        ]);
        let expected = [
            "block1_conv1/kernel",
            "block1_conv2/kernel",
            "block2_sepconv1/depthwise_kernel",
            "block2_sepconv1/pointwise_kernel",
            "block6_sepconv3/depthwise_kernel",
            "block6_sepconv3/pointwise_kernel",
            "conv2d/kernel",
            "predictions/bias",
            "predictions/kernel",
        ];
        assert_eq!(got, expected);
        assert_eq!(order_of_class("batch_normalization").len(), 40);
        assert_eq!(order_of_class("separable_conv2d").len(), 34);
        assert_eq!(order_of_class("batch_normalization")[4], "batch_normalization");
    }

    #[test]
    fn the_models_own_names_stay() {
        assert!(named(&tensors(&[("block1_conv1/kernel", &[1])])).is_none());
        assert!(named(&tensors(&[("conv1.weight", &[1])])).is_none());
    }
}
