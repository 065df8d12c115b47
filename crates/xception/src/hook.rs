//! Hooks on the layers of a network, forward and back: a table of times is made of their calls.

use std::fmt;
use std::sync::Arc;

use torch_ext::FeatureMap;

/// The direction in which a layer is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The layer's output has been computed.
    Forward,
    /// The gradient in the layer's output is complete; its own backward pass comes next.
    Backward,
}

/// A function that is called with the name of each layer that a network passes.
///
/// The names are those of the checkpoint, and a module's own (`block2`) for its max-pool and sum. PyTorch:
/// `register_forward_hook` and `register_full_backward_hook`. The default calls nothing.
#[derive(Clone, Default)]
pub struct Hook(Option<Kind>);

type Called = dyn Fn(&str, Pass) + Send + Sync;
type Replaced = dyn Fn(&str, FeatureMap) -> FeatureMap + Send + Sync;

#[derive(Clone)]
enum Kind {
    Called(Arc<Called>),
    Replaced(Arc<Replaced>),
}

impl Hook {
    /// A hook that calls `called`, which may happen on any thread: libtorch runs backward passes on its own.
    #[must_use]
    pub fn new(called: impl Fn(&str, Pass) + Send + Sync + 'static) -> Self {
        Self(Some(Kind::Called(Arc::new(called))))
    }

    /// A hook that is given each layer's map in the forward pass, and returns the one that the next layer reads.
    pub(crate) fn replacing(
        replaced: impl Fn(&str, FeatureMap) -> FeatureMap + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Kind::Replaced(Arc::new(replaced))))
    }

    /// Calls the hook for a layer that has just been computed, without gradients.
    pub(crate) fn computed(&self, name: &str) {
        if let Some(Kind::Called(called)) = &self.0 {
            called(name, Pass::Forward);
        }
    }

    /// Calls the hook for the layer that has just computed `map`, and once more when the map's gradient is complete.
    pub(crate) fn on(&self, name: &str, map: FeatureMap) -> FeatureMap {
        let called = match &self.0 {
            Some(Kind::Called(called)) => Arc::clone(called),
            Some(Kind::Replaced(replaced)) => return replaced(name, map),
            None => return map,
        };
        called(name, Pass::Forward);
        let name = name.to_string();
        map.on_gradient(move || called(&name, Pass::Backward))
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Hook" } else { "Hook (none)" })
    }
}
