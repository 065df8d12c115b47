//! The size that the files of a set typically have.

use datasets::{Decoded, Source};

/// Images that are looked at.
const MEASURED: usize = 5;

/// The median of the shorter sides of a few images, in pixels; `None` for a set whose images have one size, or cannot be read.
pub(crate) fn typical_side(images: &dyn Source) -> Option<usize> {
    if images.size().is_some() {
        return None;
    }
    let step = images.len().div_ceil(MEASURED).max(1);
    let mut room = Decoded::default();
    let shorter = |index| {
        let image = images.image(index, &mut room).ok()?;
        Some(image.height.min(image.width))
    };
    let mut sides: Vec<usize> = (0..images.len()).step_by(step).filter_map(shorter).collect();
    sides.sort_unstable();
    sides.get(sides.len() / 2).copied()
}
