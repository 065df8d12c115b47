//! Refuses sets of several labels an image, in one place, as long as nothing trains or measures on them.

use crate::data::{Data, Error};

impl Data {
    /// The set, if it is none of several labels.
    pub(super) fn with_one_label_each(self) -> Result<Self, Error> {
        match self.train.is_multi_label() {
            true => Err(Error::SeveralLabels { data: self.name }),
            false => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataSpec, Part};
    use crate::ranks::World;

    #[test]
    fn several_labels_are_checked_and_nothing_else() {
        let spec = DataSpec::SyntheticMulti;
        let (data, _) = Data::to_check(&spec).unwrap();
        assert_eq!(
            (data.name.as_str(), data.train.len(), data.test.len()),
            ("synthetic-multi", 8000, 2000)
        );
        assert_eq!(data.train.size(), Some([64, 64]));
        let refused =
            [Data::load(&spec, &World::single()).err(), Data::part(&spec, Part::Test).err()];
        for error in refused {
            let error = error.unwrap().to_string();
            assert!(
                error.starts_with("the images of synthetic-multi have several labels, and "),
                "{error}"
            );
        }
    }
}
