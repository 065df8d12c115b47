//! Hearing of every layer as it is passed, forward and back: what a table of times is made of.

use std::fmt;
use std::sync::Arc;

use torch_ext::FeatureMap;

/// Which way a layer was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Its output has been computed.
    Forward,
    /// The gradient in its output is complete: the layer's own backward pass comes next.
    Backward,
}

/// Who is told the names of the layers: those of the checkpoint, and `blockN` for a module's pool and sum.
///
/// The default listens to nobody.
#[derive(Clone, Default)]
pub struct Watcher(Option<Heard>);

type Heard = Arc<dyn Fn(&str, Pass) + Send + Sync>;

impl Watcher {
    /// A watcher that calls `heard`.
    pub fn new(heard: impl Fn(&str, Pass) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(heard)))
    }

    /// The layer called `name` has just been computed, for good.
    pub(crate) fn computed(&self, name: &str) {
        if let Some(heard) = &self.0 {
            heard(name, Pass::Forward);
        }
    }

    /// The same map; the layer called `name` has just computed it.
    pub(crate) fn hears(&self, name: impl FnOnce() -> String, map: FeatureMap) -> FeatureMap {
        let Some(heard) = self.0.clone() else { return map };
        let name = name();
        heard(&name, Pass::Forward);
        map.on_gradient(move || heard(&name, Pass::Backward))
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watcher" } else { "Watcher (none)" })
    }
}
