//! Hearing of the backward pass: where in the network it is.

use tch::Tensor;

use super::FeatureMap;
use crate::autograd::{Incoming, record};

impl FeatureMap {
    /// The same map, which calls `reached` when the gradient in it is complete.
    ///
    /// libtorch goes back through what was computed last first, so everything computed from the map has had its
    /// backward pass by then, and nothing that was computed before it. Nothing is called where no gradient comes.
    pub fn on_gradient(self, reached: impl Fn() + Send + Sync + 'static) -> Self {
        if !self.values.requires_grad() {
            return self;
        }
        let values = self.values.detach();
        record(&[&self.values], &[&values], &[], move |Incoming { gradients, .. }| {
            reached();
            vec![gradients[0].as_ref().map(Tensor::shallow_clone)]
        });
        Self { values, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn maps_speak_in_the_order_of_the_backward_pass() {
        let xs = Tensor::ones([1, 2, 1, 1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let watched = |map: Tensor, name: &'static str| {
            let heard = Arc::clone(&heard);
            FeatureMap::from(map).on_gradient(move || heard.lock().unwrap().push(name))
        };
        // The shortcut is computed first, so its turn comes last.
        let shortcut = watched(&xs * 2, "shortcut");
        let first = watched(&xs * 3, "first");
        let second = watched(first.resolve() * 5, "second");
        (second.resolve() + shortcut.resolve()).sum(Kind::Float).backward();
        assert_eq!(*heard.lock().unwrap(), ["second", "first", "shortcut"]);
        assert_eq!(Vec::<f32>::try_from(xs.grad().view(-1)).unwrap(), [17.0, 17.0]);
    }

    #[test]
    fn a_map_without_gradients_is_silent() {
        let xs = Tensor::ones([1, 2, 1, 1], (Kind::Float, Device::Cpu));
        let map = FeatureMap::from(&xs).on_gradient(|| panic!("no gradient comes"));
        assert!(!map.resolve().requires_grad());
    }
}
