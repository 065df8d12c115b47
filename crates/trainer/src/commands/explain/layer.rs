//! The feature map that an explanation is drawn from: the last one, or an earlier one that says more of places.

use xception::Xception;

use super::Refusal;
use crate::did_you_mean::hint;

/// A map of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layer {
    /// The map that the head reads.
    Features,
    /// The map of the layer with this name.
    Inner(String),
}

/// The name of [`Layer::Features`].
const FEATURES: &str = "features";

/// Rows and columns from which on a map is taken without being asked for.
const SMALLEST: i64 = 5;

/// A layer and the rows and columns of its map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) layer: Layer,
    pub(super) size: [i64; 2],
    /// Rows and columns of the last map, where that was too small.
    pub(super) too_small: Option<[i64; 2]>,
}

impl Chosen {
    /// The layer called `asked`; where none was asked for, the last whose map is large enough.
    ///
    /// # Errors
    /// A name that no layer has.
    pub(super) fn new(
        model: &Xception,
        image: &tch::Tensor,
        asked: Option<&str>,
    ) -> Result<Self, Refusal> {
        let features = tch::no_grad(|| model.features_t(image, false)).size();
        let last = [features[2], features[3]];
        let of_features = Self { layer: Layer::Features, size: last, too_small: None };
        if asked == Some(FEATURES) || (asked.is_none() && is_large(last)) {
            return Ok(of_features);
        }
        let shapes = model.map_shapes(image);
        let maps: Vec<(&str, [i64; 2])> =
            shapes.iter().map(|(name, shape)| (name.as_str(), [shape[2], shape[3]])).collect();
        let Some(asked) = asked else {
            let earlier = |(name, size)| {
                let layer = Layer::Inner(String::from(name));
                Self { layer, size, too_small: Some(last) }
            };
            return Ok(last_large(&maps).map_or(of_features, earlier));
        };
        match maps.iter().find(|(name, _)| *name == asked) {
            Some(&(name, size)) => {
                Ok(Self { layer: Layer::Inner(name.to_string()), size, too_small: None })
            }
            None => Err(Refusal::NoLayer {
                layer: asked.to_string(),
                hint: hint(asked, maps.iter().map(|(name, _)| *name).chain([FEATURES])),
                known: maps.iter().map(|(name, _)| name.to_string()).collect(),
            }),
        }
    }

    /// The layer's name.
    pub(super) fn name(&self) -> &str {
        match &self.layer {
            Layer::Features => FEATURES,
            Layer::Inner(name) => name,
        }
    }

    /// The reason for another layer than the last, where there is one.
    pub(super) fn reason(&self) -> Option<String> {
        let [last_rows, last_columns] = self.too_small?;
        let ([rows, columns], name) = (self.size, self.name());
        Some(format!(
            "the last map has {last_rows}×{last_columns} places, too few to say where something is; the map of {name} is \
             drawn, which has {rows}×{columns} (--layer {FEATURES} takes the last)"
        ))
    }
}

fn is_large(size: [i64; 2]) -> bool {
    size.iter().all(|&places| places >= SMALLEST)
}

/// The last large map that all of the network passes through: not one inside a module, which the shortcut leads around.
fn last_large<'a>(maps: &[(&'a str, [i64; 2])]) -> Option<(&'a str, [i64; 2])> {
    let is_inside = |name: &str| {
        maps.iter()
            .any(|(module, _)| name.strip_prefix(module).is_some_and(|rest| rest.starts_with('.')))
    };
    maps.iter().rev().find(|(name, size)| is_large(*size) && !is_inside(name)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_inside_a_module_is_not_taken() {
        let maps = [
            ("conv1", [32, 32]),
            ("block1.rep.0", [16, 16]),
            ("block1", [8, 8]),
            ("block12.rep.1", [8, 8]),
            ("block12", [4, 4]),
            ("conv4", [4, 4]),
        ];
        assert_eq!(last_large(&maps), Some(("block1", [8, 8])));
        assert_eq!(last_large(&maps[4..]), None);
        assert_eq!(last_large(&[("conv1", [5, 4])]), None, "both sides count");
        assert_eq!(last_large(&[("blocks.1", [9, 9]), ("blocks.12", [5, 5])]).unwrap().1, [5, 5]);
    }
}
