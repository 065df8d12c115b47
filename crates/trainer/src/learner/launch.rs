//! The launch of the kernels of a step: one by one, or all together as a CUDA graph.

use crate::recipe::LaunchRecipe;

/// The way in which the kernels of a step are launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Launch {
    /// The CPU launches every kernel of every step.
    Eager,
    /// Steps over full batches of this size are recorded as a CUDA graph and replayed; smaller ones are eager.
    Graph {
        /// Images in a full batch.
        batch_size: usize,
        /// Whether a step that cannot be recorded is an error. If it is not, steps are eager from then on.
        required: bool,
    },
}

impl Launch {
    /// The launch that a recipe asks for, for full batches of `batch_size` images.
    pub(crate) fn new(wanted: LaunchRecipe, batch_size: usize) -> Self {
        match wanted {
            LaunchRecipe::Auto if torch_ext::cuda_graphs_supported() => {
                Launch::Graph { batch_size, required: false }
            }
            LaunchRecipe::Auto | LaunchRecipe::Eager => Launch::Eager,
            LaunchRecipe::Graph => Launch::Graph { batch_size, required: true },
        }
    }

    /// Whether a step over `images` images is recorded.
    pub(super) fn records(self, images: usize) -> bool {
        matches!(self, Launch::Graph { batch_size, .. } if batch_size == images)
    }

    /// Whether steps may be eager where they cannot be recorded.
    pub(super) fn may_fall_back(self) -> bool {
        matches!(self, Launch::Graph { required: false, .. })
    }
}
