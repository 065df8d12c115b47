//! Inception V3 (Szegedy et al. 2015), tch's: with usual starting values, and its multiplications counted.

use tch::nn::{ModuleT, VarStore};
use tch::vision::inception;
use tch::{Device, Tensor};

use crate::learner::Network;

/// Inception V3 for images of 75 pixels or more. Its dropout is 0.5.
#[derive(Debug)]
pub(super) struct InceptionV3 {
    layers: Box<dyn ModuleT>,
    device: Device,
}

impl InceptionV3 {
    /// The network with `classes` logits, its variables in `store`. Its batch norms begin with scales of one, where tch
    /// draws them from U(0, 1).
    pub(super) fn new(store: &VarStore, classes: i64) -> Self {
        let layers = Box::new(inception::v3(&store.root(), classes));
        let is_scale = |name: &str| name.ends_with("bn.weight");
        let scales = store.variables().into_iter().filter(|(name, _)| is_scale(name));
        tch::no_grad(|| scales.for_each(|(_, mut scale)| drop(scale.fill_(1.0))));
        Self { layers, device: store.device() }
    }
}

impl ModuleT for InceptionV3 {
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        self.layers.forward_t(images, train)
    }
}

/// tch builds it in one piece, so all of it is the head.
impl Network for InceptionV3 {
    fn features(&self, images: &Tensor, _train: bool) -> Tensor {
        images.shallow_clone()
    }

    fn logits(&self, features: &Tensor) -> Tensor {
        self.forward_t(features, true)
    }

    fn device(&self) -> Device {
        self.device
    }
}

/// Multiply-accumulates of an image of `side` by `side` pixels: every kernel's numbers times the places that its layer
/// is computed at.
pub(super) fn macs(store: &VarStore, side: i64) -> u64 {
    let counted = |(name, variable): (String, Tensor)| match name.strip_suffix(".weight")? {
        layer if layer.ends_with(".conv") => Some(variable.numel() as u64 * places(layer, side)),
        layer if layer.ends_with(".bn") => None,
        _linear => Some(variable.numel() as u64),
    };
    store.variables().into_iter().filter_map(counted).sum()
}

/// Places of the feature maps that the convolution `layer` writes, in an image of `side` by `side`.
fn places(layer: &str, side: i64) -> u64 {
    // A 3×3 window without padding loses a place at either edge; with stride 2 it keeps every other one.
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
    use super::*;

    /// Counted in torchvision's `inception_v3(aux_logits=False)`, by hooks on its layers.
    #[test]
    fn it_is_as_large_as_torchvisions() {
        let store = VarStore::new(Device::Cpu);
        let _network = InceptionV3::new(&store, 1000);
        let trainable: usize = store.trainable_variables().iter().map(Tensor::numel).sum();
        assert_eq!(trainable, 23_834_568);
        for (side, expected) in [(299, 5_713_216_096), (96, 340_897_120), (75, 203_525_728)] {
            assert_eq!(macs(&store, side), expected, "{side}");
        }
    }
}
