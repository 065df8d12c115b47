//! A callback in the graph, which tells how far the backward pass is.

use tch::Tensor;

use super::FeatureMap;
use crate::autograd::{Incoming, record};

impl FeatureMap {
    /// The same map, which calls `reached` in the backward pass as soon as the gradient in it is complete.
    ///
    /// libtorch computes the backward pass of later operators first: when `reached` is called, the backward pass of
    /// everything computed from the map is done, and that of everything computed before it is still to come. Without a
    /// gradient there is no call. A panic in `reached` is an error of the backward pass. There is no second derivative.
    ///
    /// A graph may be sent to another thread, and several threads may run its backward pass at once, so `reached` is
    /// `Send` and `Sync`:
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use torch_ext::FeatureMap;
    ///
    /// fn counted(map: FeatureMap, calls: &Arc<AtomicU64>) -> FeatureMap {
    ///     let calls = Arc::clone(calls);
    ///     map.on_gradient(move || drop(calls.fetch_add(1, Ordering::Relaxed)))
    /// }
    /// ```
    ///
    /// A counter that belongs to one thread does not compile:
    ///
    /// ```compile_fail,E0277
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// use torch_ext::FeatureMap;
    ///
    /// fn counted(map: FeatureMap, calls: &Rc<Cell<u64>>) -> FeatureMap {
    ///     let calls = Rc::clone(calls);
    ///     map.on_gradient(move || calls.set(calls.get() + 1))
    /// }
    /// ```
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
    fn maps_are_reached_in_the_order_of_the_backward_pass() {
        let xs = Tensor::ones([1, 2, 1, 1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let reached = Arc::new(Mutex::new(Vec::new()));
        let watched = |map: Tensor, name: &'static str| {
            let reached = Arc::clone(&reached);
            FeatureMap::from(map).on_gradient(move || reached.lock().unwrap().push(name))
        };
        // The shortcut is computed first, so it is reached last.
        let shortcut = watched(&xs * 2, "shortcut");
        let first = watched(&xs * 3, "first");
        let second = watched(first.resolve() * 5, "second");
        (second.resolve() + shortcut.resolve()).sum(Kind::Float).backward();
        assert_eq!(*reached.lock().unwrap(), ["second", "first", "shortcut"]);
        assert_eq!(Vec::<f32>::try_from(xs.grad().view(-1)).unwrap(), [17.0, 17.0]);
    }

    #[test]
    fn a_map_without_gradients_is_silent() {
        let xs = Tensor::ones([1, 2, 1, 1], (Kind::Float, Device::Cpu));
        let map = FeatureMap::from(&xs).on_gradient(|| panic!("no gradient comes"));
        assert!(!map.resolve().requires_grad());
    }
}
