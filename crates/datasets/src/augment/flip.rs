//! When images are flipped left to right.

/// How the horizontal flip of one epoch follows from that of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlipSchedule {
    /// Not at all: every epoch draws anew.
    #[default]
    Independent,
    /// Epoch 0 draws; from then on each image is flipped in every second epoch, so that two epochs
    /// in a row show both sides of it (Jordan 2024, arXiv 2404.00498, "alternating flip").
    Alternating,
}
