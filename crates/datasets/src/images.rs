//! A set in memory.

use crate::Error;
use crate::label_lists::LabelLists;

/// A part of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The images that a model is trained on.
    Train,
    /// The images that it is measured on.
    Test,
}

/// RGB images of one size with their labels.
///
/// Pixels are bytes in `[image, row, column, channel]` order (NHWC), so normalising a batch writes channels-last
/// images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    pixels: Vec<u8>,
    labels: Vec<u32>,
    /// All labels, of a multi-label set; `labels` are then the first of each image.
    label_lists: Option<LabelLists>,
    height: usize,
    width: usize,
    class_names: Vec<String>,
}

impl Images {
    /// A set from its parts: `pixels` is `[labels.len(), height, width, 3]`, contiguous.
    ///
    /// # Errors
    /// Images without area, pixels that do not fit the labels, a label without a class, or more than `u32::MAX` images.
    pub fn new(
        pixels: Vec<u8>,
        labels: Vec<u32>,
        height: usize,
        width: usize,
        class_names: Vec<String>,
    ) -> Result<Self, Error> {
        if height == 0 || width == 0 {
            return Err(Error::NoArea { height, width });
        }
        let expected = [height, width, 3].iter().try_fold(labels.len(), |n, &d| n.checked_mul(d));
        if expected != Some(pixels.len()) {
            return Err(Error::PixelCount {
                pixels: pixels.len(),
                labels: labels.len(),
                height,
                width,
            });
        }
        if u32::try_from(labels.len()).is_err() {
            return Err(Error::TooManyImages(labels.len()));
        }
        let classes = class_names.len();
        if let Some(index) = labels.iter().position(|&label| label as usize >= classes) {
            return Err(Error::LabelOutOfRange { index, label: labels[index], classes });
        }
        Ok(Self { pixels, labels, label_lists: None, height, width, class_names })
    }

    /// A set whose images have any number of labels each, in any order: [`Source::is_multi_label`]. `pixels` is
    /// `[labels.len(), height, width, 3]`, contiguous.
    ///
    /// # Errors
    /// As [`Images::new`], and a set with no class.
    ///
    /// [`Source::is_multi_label`]: crate::Source::is_multi_label
    pub fn multi_label(
        pixels: Vec<u8>,
        labels: &[Vec<u32>],
        height: usize,
        width: usize,
        class_names: Vec<String>,
    ) -> Result<Self, Error> {
        let classes = class_names.len();
        if classes == 0 {
            return Err(Error::NoClasses);
        }
        for (index, labels) in labels.iter().enumerate() {
            if let Some(&label) = labels.iter().find(|&&label| label as usize >= classes) {
                return Err(Error::LabelOutOfRange { index, label, classes });
            }
        }
        let lists: LabelLists = labels.iter().map(Vec::as_slice).collect();
        let images = Self::new(pixels, lists.firsts(), height, width, class_names)?;
        Ok(Self { label_lists: Some(lists), ..images })
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Height of every image in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of every image in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Names of the classes; a label is an index into them.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The label of every image. Of a multi-label set it is the first one, or 0 for an image without any;
    /// [`Source::labels`](crate::Source::labels) has all.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// All labels, of a multi-label set.
    pub(crate) fn label_lists(&self) -> Option<&LabelLists> {
        self.label_lists.as_ref()
    }

    /// The pixels of all images, `[image, row, column, channel]`.
    pub(crate) fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels of one image, `[height, width]` of RGB.
    ///
    /// # Panics
    /// Past the last image.
    #[must_use]
    pub fn image(&self, index: usize) -> &[[u8; 3]] {
        let area = self.height * self.width;
        let (pixels, _) = self.pixels.as_chunks::<3>();
        &pixels[index * area..][..area]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| class.to_string()).collect()
    }

    #[test]
    fn a_pixel_is_found_by_image_row_and_column() {
        let pixels = (0..2 * 2 * 3 * 3).collect();
        let images = Images::new(pixels, vec![0, 1], 2, 3, names(2)).unwrap();
        assert_eq!(images.image(1)[5], [33, 34, 35], "last row, last column");
        assert_eq!(images.image(1)[3], [27, 28, 29], "last row, first column");
        assert_eq!((images.len(), images.height(), images.width()), (2, 2, 3));
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let check = |pixels, labels: &[u32], height, expected: &str| {
            let error = Images::new(vec![0; pixels], labels.to_vec(), height, 2, names(3));
            assert_eq!(error.unwrap_err().to_string(), expected);
        };
        check(
            23,
            &[0, 1],
            2,
            "23 bytes of pixels for 2 labels of 2x2 RGB images, expected 2 * 2 * 2 * 3",
        );
        check(
            24,
            &[0, 1],
            usize::MAX,
            "24 bytes of pixels for 2 labels of 18446744073709551615x2 RGB images, \
             expected 2 * 18446744073709551615 * 2 * 3",
        );
        check(0, &[0, 1], 0, "images of 0x2 pixels have no area");
        check(24, &[2, 3], 2, "image 1 has label 3, but there are 3 classes");
    }

    #[test]
    fn labels_of_several_that_do_not_fit_are_refused() {
        let check = |labels: &[Vec<u32>], classes, expected: &str| {
            let error = Images::multi_label(vec![0; 24], labels, 2, 2, names(classes));
            assert_eq!(error.unwrap_err().to_string(), expected);
        };
        check(&[vec![], vec![0, 3]], 3, "image 1 has label 3, but there are 3 classes");
        check(
            &[vec![], vec![]],
            0,
            "a set of images with several labels has no class; name one at least",
        );
        check(
            &[vec![0]],
            1,
            "24 bytes of pixels for 1 labels of 2x2 RGB images, expected 1 * 2 * 2 * 3",
        );
    }
}
