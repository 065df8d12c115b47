//! Inception V3 (Szegedy et al. 2015), tch's: with usual starting values, and its multiplications counted.

use tch::nn::{ModuleT, VarStore};
use tch::vision::inception;

/// The network for images of 75 pixels or more, whose batch norms begin with scales of one: tch draws them from
/// U(0, 1).
pub(super) fn build(store: &VarStore, classes: i64) -> impl ModuleT + use<> {
    let model = inception::v3(&store.root(), classes);
    let is_scale = |name: &str| name.ends_with("bn.weight");
    let scales = store.variables().into_iter().filter(|(name, _)| is_scale(name));
    tch::no_grad(|| scales.for_each(|(_, mut scale)| drop(scale.fill_(1.0))));
    model
}

/// Multiply-accumulates of an image of `side` by `side` pixels: every kernel's numbers times the places that its layer
/// is computed at.
pub(super) fn macs(store: &VarStore, side: i64) -> u64 {
    let counted = |(name, variable): (String, tch::Tensor)| match name.strip_suffix(".weight")? {
        layer if layer.ends_with(".conv") => Some(variable.numel() as u64 * places(layer, side)),
        layer if layer.ends_with(".bn") => None,
        _linear => Some(variable.numel() as u64),
    };
    store.variables().into_iter().filter_map(counted).sum()
}

/// Places of the feature maps that the convolution `layer` writes, in an image of `side` by `side`.
fn places(layer: &str, side: i64) -> u64 {
    // A 3×3 window that is not padded takes a place off either edge, and may then keep every other.
    let whole = |side: i64| side - 2;
    let halved = |side: i64| (side - 3) / 2 + 1;
    let first = halved(side);
    let second = whole(first);
    let third = halved(second);
    let fourth = whole(third);
    let fifth = halved(fourth);
    let sixth = halved(fifth);
    let seventh = halved(sixth);
    let mut parts = layer.split('.');
    let side = match (parts.next().unwrap_or(""), parts.next().unwrap_or("")) {
        ("Conv2d_1a_3x3", _) => first,
        ("Conv2d_2a_3x3" | "Conv2d_2b_3x3", _) => second,
        ("Conv2d_3b_1x1", _) => third,
        ("Conv2d_4a_3x3", _) => fourth,
        ("Mixed_6a", "branch3x3dbl_1" | "branch3x3dbl_2") => fifth,
        ("Mixed_7a", "branch3x3_2" | "branch7x7x3_4") => seventh,
        ("Mixed_7a", _) => sixth,
        (block, _) if block.starts_with("Mixed_5") => fifth,
        (block, _) if block.starts_with("Mixed_6") => sixth,
        _ => seventh,
    };
    (side * side) as u64
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Counted in torchvision's `inception_v3(aux_logits=False)`, by hooks on its layers.
    #[test]
    fn it_is_as_large_as_torchvisions() {
        let store = VarStore::new(Device::Cpu);
        let _model = build(&store, 1000);
        let trainable: usize = store.trainable_variables().iter().map(tch::Tensor::numel).sum();
        assert_eq!(trainable, 23_834_568);
        for (side, expected) in [(299, 5_713_216_096), (96, 340_897_120), (75, 203_525_728)] {
            assert_eq!(macs(&store, side), expected, "{side}");
        }
    }
}
