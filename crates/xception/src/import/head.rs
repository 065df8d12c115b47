//! The head of a foreign network: a linear layer of any name, if it is the only layer after the pool.

use std::collections::{BTreeMap, BTreeSet};

use tch::Tensor;

use super::copies::Copy;
use super::module;
use super::note::listed;
use crate::weights::{Tensors, is_counter};

/// The fate of a file's head.
pub(super) enum Head {
    /// A linear layer.
    Linear(Linear),
    /// There is none.
    Missing,
    /// It is more than a linear layer, or there are several.
    Unfit(String),
}

/// A linear layer of a file.
pub(super) struct Linear {
    /// Its name there.
    pub(super) module: String,
    /// `[classes, features]`.
    pub(super) weight: Tensor,
    /// `[classes]`.
    pub(super) bias: Option<Tensor>,
}

impl Linear {
    /// The layer whose weight is called `name`; PyTorch's, or Keras's, whose kernel is transposed.
    fn of(tensors: &Tensors, name: &str, tensor: &Tensor) -> Option<Self> {
        if tensor.dim() != 2 {
            return None;
        }
        let (module, bias, weight) = match name.strip_suffix(".weight") {
            Some(module) => (module, format!("{module}.bias"), tensor.shallow_clone()),
            None => {
                let module = name.strip_suffix("/kernel")?;
                (module, format!("{module}/bias"), tensor.tr())
            }
        };
        let bias = tensors.get(&bias).filter(|bias| bias.size() == [weight.size()[0]]);
        let bias = bias.map(Tensor::shallow_clone);
        Some(Self { module: module.to_string(), weight, bias })
    }

    fn inputs(&self) -> i64 {
        self.weight.size()[1]
    }

    pub(super) fn outputs(&self) -> i64 {
        self.weight.size()[0]
    }

    fn described(&self) -> String {
        format!("{} from {} to {}", self.module, self.inputs(), self.outputs())
    }

    /// The weight and the bias, in the kind of the weight.
    pub(super) fn tensors(&self) -> [Tensor; 2] {
        let bias = self.bias.as_ref().map_or_else(
            || self.weight.new_zeros([self.outputs()], (self.weight.kind(), self.weight.device())),
            Tensor::shallow_clone,
        );
        [self.weight.contiguous(), bias]
    }
}

/// Finds the head of `copy` among the tensors that are not of the `backbone`; `official` is its name in the original.
pub(super) fn find(copy: &Copy, backbone: &BTreeSet<&str>, official: &str, features: i64) -> Head {
    let inside = copy.tensors.iter().filter(|(name, _)| !backbone.contains(name.as_str()));
    let inside: Tensors =
        inside.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
    let linears = |tensors: &Tensors| -> Vec<Linear> {
        tensors.iter().filter_map(|(name, tensor)| Linear::of(tensors, name, tensor)).collect()
    };
    let mut all = linears(&inside);
    // Beside a backbone with a prefix, the head may have another one: that around it, if there is one.
    let mut beside = linears(&copy.outside);
    let networks = other_networks(copy);
    beside.retain(|linear| !copy.is_of_another(&format!("{}.", linear.module)));
    beside.retain(|linear| !networks.contains(root_beside(copy, &linear.module)));
    let around =
        copy.prefix.trim_end_matches('.').rfind('.').map_or("", |dot| &copy.prefix[..=dot]);
    if beside.iter().any(|linear| linear.module.starts_with(around)) {
        beside.retain(|linear| linear.module.starts_with(around));
    }
    all.extend(beside);
    let listed = |linears: &[&Linear]| {
        listed(&linears.iter().map(|linear| linear.described()).collect::<Vec<_>>())
    };
    let every: Vec<&Linear> = all.iter().collect();
    let fitting: Vec<&Linear> = all.iter().filter(|linear| linear.inputs() == features).collect();
    let own = fitting.iter().find(|linear| linear.module == official);
    let head = match (own, &fitting[..]) {
        (Some(own), [_]) => *own,
        (None, [only]) => *only,
        (None, []) if all.is_empty() => {
            let odd = odd_layer(&inside, features).or_else(|| odd_layer(&copy.outside, features));
            return odd.map_or(Head::Missing, Head::Unfit);
        }
        (_, []) => {
            return Head::Unfit(format!(
                "no linear layer takes the {features} features of the backbone ({})",
                listed(&every)
            ));
        }
        (_, several) => {
            return Head::Unfit(format!("several layers may be it ({})", listed(several)));
        }
    };
    let (name, classes) = (head.module.clone(), head.outputs());
    if all.iter().any(|other| other.inputs() == classes && other.module != name) {
        return Head::Unfit(format!("it has a hidden layer ({})", listed(&every)));
    }
    if let Some(other) = sibling(&inside, &copy.outside, &name) {
        return Head::Unfit(format!("it is more than the linear layer {name}: it has {other} too"));
    }
    let place = all.iter().position(|linear| linear.module == name);
    place.map_or(Head::Missing, |place| Head::Linear(all.swap_remove(place)))
}

/// The reason why there is no linear layer, though a matrix takes the features: that of a norm of weights or another
/// parametrization, which computes the weight, or of a layer of one's own.
fn odd_layer(tensors: &Tensors, features: i64) -> Option<String> {
    let takes_features = |tensor: &Tensor| tensor.dim() == 2 && tensor.size().contains(&features);
    let (name, tensor) = tensors.iter().find(|(_, tensor)| takes_features(tensor))?;
    let shape = tensor.size();
    let is_computed = name.ends_with(".weight_v") || name.contains(".parametrizations.");
    Some(if is_computed {
        format!(
            "its weight is computed from {name}; before saving, call torch.nn.utils.remove_weight_norm or \
             torch.nn.utils.parametrize.remove_parametrizations"
        )
    } else {
        format!("{name} of shape {shape:?} takes the features and is no weight of a linear layer")
    })
}

/// Words in the names of layers that belong to a loss.
const OF_LOSSES: [&str; 5] = ["loss", "criterion", "arcface", "proxy", "center"];

/// The reason why `head` is not all that lies between the features and the answer, where something else is there: other
/// parameters of its own, or a layer that takes the features or the colours, too.
pub(super) fn rival(
    copy: &Copy,
    backbone: &BTreeSet<&str>,
    head: &Linear,
    features: i64,
) -> Option<String> {
    let name = &head.module;
    let lower = name.to_lowercase();
    if head.bias.is_none() && OF_LOSSES.iter().any(|word| lower.contains(word)) {
        return Some(format!("{name} looks like a part of a loss"));
    }
    let inside = copy.tensors.iter().filter(|(name, _)| !backbone.contains(name.as_str()));
    let networks = other_networks(copy);
    let outside = copy.outside.iter().filter(|(name, _)| {
        !copy.is_of_another(name)
            && !networks.contains(root_beside(copy, name))
            && (is_parameter(name) || name.starts_with(head.module.as_str()))
    });
    for (other, tensor) in inside.chain(outside).filter(|(name, _)| !is_counter(name)) {
        let own = other.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix(['.', '/']));
        match own {
            Some("weight" | "kernel") => {}
            Some("bias") if head.bias.is_some() => {}
            Some(_) => return Some(format!("{name} has more than a weight and a bias: {other}")),
            None => {
                let size = tensor.size();
                let colours = other.ends_with("running_mean") && size == [3];
                if size.contains(&features) || colours {
                    return Some(format!("{other} of shape {size:?} changes its input"));
                }
            }
        }
    }
    None
}

/// Convolutions from which tensors outside are a network of their own, such as a teacher, and no layers between ours and its
/// head.
const OF_A_NETWORK: usize = 10;

/// The roots of other networks among the tensors outside.
fn other_networks<'a>(copy: &'a Copy) -> BTreeSet<&'a str> {
    let mut convolutions: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in copy.outside.iter().filter(|(_, tensor)| tensor.dim() == 4) {
        *convolutions.entry(root_beside(copy, name)).or_default() += 1;
    }
    convolutions.retain(|_, count| *count >= OF_A_NETWORK);
    convolutions.into_keys().collect()
}

/// The start of a name outside up to the first part in which it differs from the prefix of `copy`: beside `model.backbone.`,
/// that of `model.neck.conv.weight` is `model.neck`, and of `teacher.fc.weight` it is `teacher`.
fn root_beside<'a>(copy: &Copy, name: &'a str) -> &'a str {
    let mut end = 0;
    for (own, part) in copy.prefix.split('.').zip(name.split_inclusive('.')) {
        end += part.len();
        if own != part.trim_end_matches('.') {
            break;
        }
    }
    name[..end].trim_end_matches('.')
}

/// Whether a tensor is one that a layer computes with, by its name: a bank of features or the centres of a loss are none.
fn is_parameter(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "weight",
        "bias",
        "kernel",
        "gamma",
        "beta",
        "running_mean",
        "running_var",
        "moving_mean",
        "moving_variance",
        "scale",
    ];
    name.rsplit(['.', '/']).next().is_some_and(|last| NAMES.contains(&last))
}

/// A tensor of another layer in the same sequence as `module`, whose own name there is a number.
fn sibling<'a>(inside: &'a Tensors, outside: &'a Tensors, module: &str) -> Option<&'a str> {
    let (sequence, number) = module.rsplit_once('.')?;
    number.parse::<usize>().ok()?;
    let others = inside.keys().chain(outside.keys()).map(String::as_str);
    let mut others = others.filter(|name| {
        let rest = name.strip_prefix(sequence).and_then(|rest| rest.strip_prefix('.'));
        rest.is_some_and(|rest| rest.split('.').next() != Some(number))
    });
    others.next()
}

/// The names of all tensors in `copy` and outside it that belong to a head of several layers: those of its linear layers,
/// and inside all that begins as they do.
pub(super) fn parts(copy: &Copy, backbone: &BTreeSet<&str>) -> BTreeSet<String> {
    let root = |name: &str| name.split(['.', '/']).next().unwrap_or(name).to_string();
    let linears = |tensors: &Tensors| -> BTreeSet<String> {
        let is_linear = |(name, tensor): &(&String, &Tensor)| {
            tensor.dim() == 2 && !backbone.contains(name.as_str())
        };
        tensors.iter().filter(is_linear).map(|(name, _)| name.clone()).collect()
    };
    let roots: BTreeSet<String> = linears(&copy.tensors).iter().map(|name| root(name)).collect();
    let inside = copy
        .tensors
        .keys()
        .filter(|name| roots.contains(&root(name)) && !backbone.contains(name.as_str()));
    let outside = linears(&copy.outside);
    let modules: BTreeSet<&str> = outside.iter().filter_map(|name| module(name)).collect();
    let outside = copy
        .outside
        .keys()
        .filter(|name| module(name).is_some_and(|module| modules.contains(module)));
    inside.chain(outside).cloned().collect()
}
