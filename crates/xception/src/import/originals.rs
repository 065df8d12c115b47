//! The names of our variables in each original.
//!
//! Our names all have the form `module.leaf` (`block2.rep.1.conv1.weight`). PyTorch originals differ in the module
//! only; Keras differs in the leaf and in the order of the axes too.

use super::Source;
use crate::preset::{ModelSpec, Preset};

/// The place of our variable `name` of `shape` in the original of `spec`.
pub(super) fn source(spec: &ModelSpec, name: &str, shape: Vec<i64>) -> Source {
    let (module, leaf) = name.rsplit_once('.').expect("every variable is in a module");
    let named = |modules: Vec<String>| {
        Source::same(
            modules.into_iter().map(|module| format!("{module}.{leaf}")).collect(),
            shape.clone(),
        )
    };
    let place = || Place::of(module);
    match spec.preset {
        Preset::XceptionKeras => keras(&place(), leaf, &shape),
        Preset::NotebookCifar10 => named(vec![notebook(&place())]),
        Preset::DenseCifar100 | Preset::DenseCifar100First | Preset::DenseCifar100Depthwise => {
            named(vec![dense(&place())])
        }
        Preset::PlainShared => named(plain(&place())),
        Preset::Xception
        | Preset::Xception41
        | Preset::Xception65
        | Preset::Xception71
        | Preset::Xception41p
        | Preset::Xception65p
        | Preset::Cifar => named(vec![module.to_string()]),
    }
}

/// A module of ours, taken apart.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// `conv1`, `bn1`, `conv2`, `bn2`: number 1 or 2.
    Stem { norm: bool, number: usize },
    /// A convolution or norm in a residual module, counted from 0, or a half of a separable one.
    Rep { block: usize, index: usize, part: Part<'a> },
    /// `skip` or `skipbn`.
    Shortcut { block: usize, norm: bool },
    /// A separable convolution after the last module: number 3 or 4.
    Exit { number: usize, part: Part<'a> },
    /// `fc`.
    Head,
}

/// A part of a separable convolution and the norm after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    /// `conv1`, `pointwise`, `bn_dw` or `bn_pw`.
    Half(&'a str),
    /// The batch normalisation after the convolution.
    Norm,
}

impl<'a> Place<'a> {
    fn of(module: &'a str) -> Self {
        let parts: Vec<&str> = module.split('.').collect();
        let number = |text: &str, prefix: &str| {
            text.strip_prefix(prefix).and_then(|digits| digits.parse::<usize>().ok())
        };
        if let Some(block) = number(parts[0], "block") {
            return match parts[1..] {
                ["skip"] => Place::Shortcut { block, norm: false },
                ["skipbn"] => Place::Shortcut { block, norm: true },
                ["rep", place, half] => {
                    Place::Rep { block, index: rep_index(place), part: Part::Half(half) }
                }
                ["rep", place] => Place::Rep { block, index: rep_index(place), part: Part::Norm },
                _ => unreachable!("{module} is not a module of ours"),
            };
        }
        match (number(parts[0], "conv"), number(parts[0], "bn"), parts.get(1)) {
            (Some(number), _, Some(half)) => Place::Exit { number, part: Part::Half(half) },
            (Some(number), _, None) => Place::Stem { norm: false, number },
            (_, Some(number), _) if number > 2 => Place::Exit { number, part: Part::Norm },
            (_, Some(number), _) => Place::Stem { norm: true, number },
            _ => Place::Head,
        }
    }
}

/// The number of the convolution at a place in a `rep` list, or just before it.
///
/// Convolutions stand at 0, 3, 6 or at 1, 4, 7 and their norms one further, so a third of the place is the number
/// in both layouts.
fn rep_index(place: &str) -> usize {
    place.parse::<usize>().expect("places are numbers") / 3
}

/// seeds/000: `nn.Sequential`s with numbered layers, and convolutions wrapped in modules of their own.
fn notebook(place: &Place) -> String {
    let half = |part: &Part, sequence: String, first: usize, index: usize| match part {
        Part::Half("conv1") => format!("{sequence}.{}.depthwise.conv", first + 3 * index),
        Part::Half(half) => format!("{sequence}.{}.{half}.conv", first + 3 * index),
        Part::Norm => format!("{sequence}.{}", first + 3 * index + 1),
    };
    match place {
        Place::Stem { norm, number } => {
            format!("entry_flow.boostrap.{}", 3 * (number - 1) + usize::from(*norm))
        }
        Place::Rep { block: block @ 1..=3, index, part } => {
            half(part, format!("entry_flow.conv_blocks.{}.conv_block", block - 1), 0, *index)
        }
        Place::Rep { block: 12, index, part } => {
            half(part, "exit_flow.conv_block1".into(), 1, *index)
        }
        Place::Rep { block, index, part } => half(
            part,
            format!("middle_flow.residual_blocks.{}.residual_block", block - 4),
            1,
            *index,
        ),
        Place::Shortcut { block: 12, .. } => "exit_flow.conv_shortcut".into(),
        Place::Shortcut { block, .. } => {
            format!("entry_flow.conv_blocks.{}.conv_shortcut", block - 1)
        }
        Place::Exit { number, part } => half(part, "exit_flow.conv_block2".into(), 0, number - 3),
        Place::Head => "exit_flow.linear".into(),
    }
}

/// seeds/001: blocks at the top level; each half of a separable convolution is a `Sequential` of its own.
fn dense(place: &Place) -> String {
    let half = |part: &Part, place: String| match part {
        Part::Half("conv1") => format!("{place}.depthwise.0"),
        Part::Half("bn_dw") => format!("{place}.depthwise.1"),
        Part::Half("pointwise") => format!("{place}.pointwise.0"),
        Part::Half(_) => format!("{place}.pointwise.1"),
        Part::Norm => unreachable!("the caller counts norms"),
    };
    let counted = |part: &Part, sequence: &str, convolution: usize| match part {
        Part::Norm => format!("{sequence}.{}", convolution + 1),
        part => half(part, format!("{sequence}.{convolution}")),
    };
    match place {
        Place::Stem { norm, number } => {
            format!("feature.{}", 3 * (number - 1) + usize::from(*norm))
        }
        // The first block has no norms of its own, so its convolutions stand two apart.
        Place::Rep { block: 1, index, part } => counted(part, "block1", 2 * index),
        Place::Rep { block: 4, index, part } => counted(part, "block4.feature", 1 + 3 * index),
        Place::Rep { block, index, part } => counted(part, &format!("block{block}"), 1 + 3 * index),
        Place::Shortcut { block: 5, .. } => "conv7".into(),
        Place::Shortcut { block, .. } => format!("conv{}", block + 2),
        Place::Exit { number, part } => counted(part, "block6", 1 + 3 * (number - 3)),
        Place::Head => "fc".into(),
    }
}

/// seeds/003: no norms, and one middle block listed under seven numbers.
fn plain(place: &Place) -> Vec<String> {
    let half = |part: &Part| if *part == Part::Half("conv1") { 0 } else { 1 };
    let one = |name: String| vec![name];
    match place {
        Place::Stem { number, .. } => one(format!("entry_flow.conv2d_init_{number}")),
        Place::Rep { block: block @ 1..=3, index, part } => {
            one(format!("entry_flow.layer_{block}.{}.{}", 2 * index, half(part)))
        }
        Place::Rep { block: 4, index, part } => (0..7)
            .map(|copy| format!("middle_flow.module_list.{copy}.{}.{}", 2 * index + 1, half(part)))
            .collect(),
        Place::Rep { index, part, .. } => {
            one(format!("exit_flow.separable_network.{}.{}", 2 * index + 1, half(part)))
        }
        Place::Shortcut { block: block @ 1..=3, .. } => one(format!("entry_flow.conv2d_{block}")),
        Place::Shortcut { .. } => one("exit_flow.conv2d_1".into()),
        Place::Exit { number, part } => {
            one(format!("exit_flow.separable_conv_{}.{}", number - 2, half(part)))
        }
        Place::Head => one("exit_flow.fc_layer".into()),
    }
}

/// `keras.applications.Xception`: layers with two numbers, and four shortcuts that Keras numbers itself.
fn keras(place: &Place, leaf: &str, shape: &[i64]) -> Source {
    let counted = |name: &str, block: usize| match block {
        1 => name.to_string(),
        block => format!("{name}_{}", if block == 12 { 3 } else { block - 1 }),
    };
    let (layer, norm, half) = match place {
        Place::Stem { norm, number } => (format!("block1_conv{number}"), *norm, None),
        Place::Rep { block, index, part } => separable_layer(block + 1, index + 1, part),
        Place::Exit { number, part } => separable_layer(14, number - 2, part),
        Place::Shortcut { block, norm: true } => {
            (counted("batch_normalization", *block), false, Some("norm"))
        }
        Place::Shortcut { block, norm: false } => (counted("conv2d", *block), false, None),
        Place::Head => ("predictions".to_string(), false, None),
    };
    let is_norm = norm || half == Some("norm");
    let layer = if norm { format!("{layer}_bn") } else { layer };
    let (variable, axes): (&str, &[i64]) = match (leaf, half) {
        ("weight", _) if is_norm => ("gamma", &[0]),
        ("bias", _) if is_norm => ("beta", &[0]),
        ("running_mean", _) => ("moving_mean", &[0]),
        ("running_var", _) => ("moving_variance", &[0]),
        ("bias", _) => ("bias", &[0]),
        // Keras: [rows, columns, channels, multiplier].
        (_, Some("conv1")) => ("depthwise_kernel", &[2, 3, 0, 1]),
        // Keras: [rows, columns, c_in, c_out].
        (_, Some("pointwise")) => ("pointwise_kernel", &[3, 2, 0, 1]),
        _ if shape.len() == 2 => ("kernel", &[1, 0]),
        _ => ("kernel", &[3, 2, 0, 1]),
    };
    Source::transposed(format!("{layer}/{variable}"), shape, axes)
}

fn separable_layer<'a>(
    block: usize,
    number: usize,
    part: &Part<'a>,
) -> (String, bool, Option<&'a str>) {
    let layer = format!("block{block}_sepconv{number}");
    match part {
        Part::Norm => (layer, true, None),
        Part::Half(half) => (layer, false, Some(half)),
    }
}
