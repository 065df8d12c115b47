//! The schedule of horizontal flips.

/// The relation of an image's horizontal flips between epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlipSchedule {
    /// None: every epoch draws anew.
    #[default]
    Independent,
    /// Epoch 0 draws; afterwards each image is flipped in every second epoch, so that two consecutive epochs show
    /// both of its sides (Jordan 2024, arXiv 2404.00498, "alternating flip").
    Alternating,
}
