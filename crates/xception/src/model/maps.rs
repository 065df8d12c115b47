//! Maps inside a network, with the way from each to the features: what a method that explains an answer works on.

use std::sync::{Arc, Mutex, PoisonError};

use tch::Tensor;

use super::Xception;
use crate::hook::Hook;

impl Xception {
    /// The layers that a [`Hook`] is called for, in the order of the forward pass, each with the shape `[N, C, h, w]` of
    /// its map for `images`. A module that is applied several times stands at its last place.
    ///
    /// # Panics
    /// As [`Self::features_t`].
    #[must_use]
    pub fn map_shapes(&self, images: &Tensor) -> Vec<(String, Vec<i64>)> {
        let shapes = Arc::new(Mutex::new(Vec::<(String, Vec<i64>)>::new()));
        let hook = {
            let shapes = Arc::clone(&shapes);
            Hook::replacing(move |name, map| {
                let mut shapes = shapes.lock().unwrap_or_else(PoisonError::into_inner);
                shapes.retain(|(seen, _)| seen != name);
                shapes.push((name.to_string(), map.size()));
                map
            })
        };
        drop(tch::no_grad(|| self.features_with_hook(images, false, &hook)));
        std::mem::take(&mut *shapes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The map of `layer` for `images`, and the features of [`Self::features_t`] that the rest of the network makes of
    /// it, in evaluation mode; `None` where [`Self::map_shapes`] has no such layer.
    ///
    /// The map is a leaf of libtorch's graph that asks for its gradient. Of a module that is applied several times, it is
    /// that of the last time. It is normalised, and not yet activated where the activation comes after the layer.
    /// torchvision: `create_feature_extractor`.
    ///
    /// # Panics
    /// As [`Self::features_t`].
    #[must_use]
    pub fn features_from(&self, images: &Tensor, layer: &str) -> Option<(Tensor, Tensor)> {
        let kept = Arc::new(Mutex::new(None));
        let hook = {
            let (kept, layer) = (Arc::clone(&kept), layer.to_string());
            Hook::replacing(move |name, map| {
                if name != layer {
                    return map;
                }
                let map = map.resolve().detach().set_requires_grad(true);
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(map.shallow_clone());
                map.into()
            })
        };
        let features = self.features_with_hook(images, false, &hook);
        let map = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        map.map(|map| (map, features))
    }
}
