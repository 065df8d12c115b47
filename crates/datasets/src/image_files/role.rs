//! The names that people give to the parts of a set: `Training`, `seg_test`, `val2017`.

/// The part of a set that images are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// To train on.
    Train,
    /// To choose the best epoch by.
    Validation,
    /// To measure on.
    Test,
}

/// Words of such names that say nothing about the part.
const FILLING: [&str; 21] = [
    "seg", "set", "data", "dataset", "image", "images", "img", "imgs", "split", "dir", "folder",
    "sample", "samples", "photo", "photos", "file", "files", "part", "cls", "subset", "partial",
];
/// Endings of words that were written together, as in `trainset`.
const APPENDED: [&str; 6] = ["dataset", "set", "data", "images", "imgs", "split"];

impl Role {
    pub(super) const ALL: [Self; 3] = [Role::Train, Role::Validation, Role::Test];

    /// The part that a folder or a value of this name is for, whatever the case and the filling words.
    pub(super) fn of(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let mut found = None;
        for word in name.split(|letter: char| !letter.is_alphanumeric()) {
            let word = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
            if word.is_empty() || FILLING.contains(&word) {
                continue;
            }
            let role = Self::of_word(word)?;
            if found.is_some_and(|found| found != role) {
                return None;
            }
            found = Some(role);
        }
        found
    }

    /// The part of the first word in `name` that says one: `imagenet-train-0001.tar` is for training.
    pub(super) fn within(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let word = |word: &str| {
            Self::of_word(word.trim_end_matches(|letter: char| letter.is_ascii_digit()))
        };
        name.split(|letter: char| !letter.is_alphanumeric()).find_map(word)
    }

    fn of_word(word: &str) -> Option<Self> {
        let known = |word: &str| match word {
            "train" | "training" | "trn" => Some(Role::Train),
            "val" | "valid" | "validation" | "validate" | "vali" | "dev" | "devel"
            | "development" | "eval" | "evaluation" => Some(Role::Validation),
            "test" | "testing" | "tst" | "holdout" => Some(Role::Test),
            _ => None,
        };
        let shorter = |ending: &&str| word.strip_suffix(*ending).and_then(known);
        known(word).or_else(|| APPENDED.iter().find_map(shorter))
    }

    /// The part in prose.
    pub(super) fn prose(self) -> &'static str {
        match self {
            Role::Train => "training set",
            Role::Validation => "validation set",
            Role::Test => "test set",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_parts_are_known() {
        let check = |role, names: &[&str]| {
            for name in names {
                assert_eq!(Role::of(name), role, "{name}");
            }
        };
        check(
            Some(Role::Train),
            &[
                "train",
                "Train",
                "TRAINING",
                "seg_train",
                "train2017",
                "training-set",
                "TrainSet",
                "Training Data",
                "partial-train",
            ],
        );
        check(
            Some(Role::Validation),
            &[
                "val",
                "Valid",
                "validation",
                "dev",
                "val_images",
                "ValidationSet",
                "val2017",
                "seg_val",
            ],
        );
        check(
            Some(Role::Test),
            &["test", "Testing", "seg_test", "test1", "test_set", "Test Images"],
        );
        check(
            None,
            &[
                "",
                "cat",
                "set",
                "trainer",
                "steam train engine",
                "train_test",
                "2017",
                "contest",
                "seg_pred",
            ],
        );
    }
}
