//! Folders for the parts of a set, in the spellings that people use.

use super::*;

/// The numbers of images of the three parts.
fn counts(root: &Path) -> [usize; 3] {
    let found = folder(root, HELD).unwrap();
    let validation = found.validation.map_or(0, |images| images.len());
    [found.train.len(), validation, found.test.len()]
}

/// A folder with `count` images in each of the classes a and b, for each of `parts`.
fn with(parts: &[(&str, usize)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (part, count) in parts {
        fill(&root.path().join(part), &["a", "b"], *count);
    }
    root
}

#[test]
fn the_parts_are_found_in_any_case_and_common_spelling() {
    for (train, test) in [
        ("train", "val"),
        ("Training", "Testing"),
        ("TRAIN", "Valid"),
        ("seg_train", "seg_test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train", "test/images"),
        ("training_set", "test-set"),
        ("train2017", "val2017"),
        ("trainset", "dev"),
    ] {
        let root = with(&[(train, 3), (test, 2)]);
        assert_eq!(counts(root.path()), [6, 0, 4], "{train}, {test}");
        assert!(!folder(root.path(), HELD).unwrap().held, "{train}, {test}");
    }
}

#[test]
fn validation_and_test_set_are_kept_apart() {
    let root = with(&[("Train", 4), ("Valid", 3), ("Test", 2)]);
    assert_eq!(counts(root.path()), [8, 6, 4]);
}

#[test]
fn a_training_set_alone_is_split() {
    for alone in ["train", "Training/Training"] {
        let root = with(&[(alone, 30)]);
        let found = folder(root.path(), HELD).unwrap();
        assert!(found.held && found.test.len() > 2, "{alone}");
        assert_eq!(found.train.len() + found.test.len(), 60);
        assert_eq!(found.train.class_names(), ["a", "b"]);
        // As when the folder of classes is given itself.
        let itself = folder(&root.path().join(alone), HELD).unwrap();
        assert_eq!(names(&found.test), names(&itself.test));
    }
}

#[test]
fn a_test_set_without_labels_is_ignored_and_said() {
    let root = with(&[("train", 10)]);
    put(root.path(), "test/1.png", &png([1; 3], 4, 4));
    put(root.path(), "annotations/readme.txt", b"");
    let found = folder(root.path(), HELD).unwrap();
    assert!(found.held && found.train.len() + found.test.len() == 20);
    let said = found.skipped.sentences().join("\n");
    assert!(said.contains("beside train, annotations, test are ignored"), "{said}");
}

#[test]
fn other_numbering_of_the_classes_in_the_test_set_does_not_matter() {
    let root = TempDir::new().unwrap();
    fill(&root.path().join("train"), &["a", "b"], 3);
    fill(&root.path().join("val"), &["b", "a"], 2);
    let found = folder(root.path(), HELD).unwrap();
    // Numbered by the training set's names: b is 1, though its images were made as class 0.
    let mut room = Decoded::default();
    for index in 0..4 {
        let made_as = found.test.image(index, &mut room).unwrap().pixels[0][0];
        assert_eq!(u32::from(made_as), 1 - found.test.label(index));
    }
}

#[test]
fn classes_that_are_called_as_parts_stay_classes() {
    let root = TempDir::new().unwrap();
    fill(root.path(), &["bus", "car", "train"], 5);
    assert_eq!(folder(root.path(), HELD).unwrap().train.class_names(), ["bus", "car", "train"]);
}

#[track_caller]
fn refused(root: &Path, expected: &str) {
    let message = refusal(folder(root, HELD));
    assert!(message.contains(expected), "{expected}: {message}");
}

#[test]
fn folders_that_may_mean_two_things_are_refused() {
    refused(
        with(&[("train", 2), ("Training", 2)]).path(),
        "two folders that could be the training set, Training and train",
    );
    refused(
        with(&[("train", 2), ("val", 2), ("dev", 2)]).path(),
        "two folders that could be the validation set, dev and val",
    );
    let root = with(&[("train", 2)]);
    put(root.path(), "cars/1.png", b"");
    refused(
        root.path(),
        "train, which looks like a training set with a folder for each class, and cars",
    );
}

#[test]
fn sets_in_the_place_of_classes_are_refused_with_the_folder_to_give() {
    let root = with(&[("fold1", 2), ("fold2", 2)]);
    refused(root.path(), "with common names (a, b)");
    refused(root.path(), &format!("folder:{}", root.path().join("fold1").display()));
    let root = with(&[("archive/pets", 2)]);
    refused(root.path(), &format!("did you mean {}?", root.path().join("archive/pets").display()));
    let root = TempDir::new().unwrap();
    for class in ["cat", "dog"] {
        fill(&root.path().join(class), &["train", "test"], 2);
    }
    let above = root.path().join("test").join("cat");
    refused(root.path(), &format!("put these above the classes: {}", above.display()));
}

#[test]
fn parts_without_training_images_or_labels_are_refused() {
    refused(with(&[("test", 1)]).path(), "holds a test set (test) and no training set");
    refused(
        with(&[("Valid", 1), ("Testing", 1)]).path(),
        "holds a test set (Testing) and no training set",
    );
    let root = TempDir::new().unwrap();
    fill(root.path(), &["train", "test"], 3);
    refused(root.path(), "train holds images and no folders of classes");
    for table in ["sample_submission.csv", "train.csv"] {
        put(root.path(), table, b"");
        refused(root.path(), &format!("csv:{}", root.path().join(table).display()));
    }
    let root = TempDir::new().unwrap();
    fill(&root.path().join("train"), &["a", "b"], 2);
    fill(&root.path().join("val"), &["c", "d"], 2);
    refused(root.path(), "2 classes of the validation set in ");
    refused(root.path(), "are not in the training set: c, d");
}

#[test]
fn an_empty_class_says_what_it_holds() {
    let root = with(&[("", 2)]);
    put(root.path(), "c/1.heic", b"");
    put(root.path(), "c/2.HEIC", b"");
    refused(root.path(), "it holds .heic 2; add some");
}

/// Latin-1, as old archives have it.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf8_leaves_out_one_file() {
    use std::os::unix::ffi::OsStrExt;
    let root = with(&[("", 10)]);
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.png");
    fs::write(root.path().join("a").join(name), png([0; 3], 4, 4)).unwrap();
    fs::create_dir(root.path().join(std::ffi::OsStr::from_bytes(b"\xe9t\xe9"))).unwrap();
    let found = folder(root.path(), HELD).unwrap();
    assert_eq!(found.train.len() + found.test.len(), 20);
    assert_eq!(
        found.skipped.sentences(),
        [
            "2 names are not UTF-8, and are left out until they are renamed: \\xE9t\\xE9, a/caf\\xE9.png"
        ]
    );
}

#[test]
fn archives_are_told_apart_by_a_word_of_their_names() {
    let root = TempDir::new().unwrap();
    fill_archives(root.path(), &["pets-Training-0.tar", "pets-valid-0.tar", "pets-test1.tar"]);
    let found = shards(root.path(), HELD).unwrap();
    assert_eq!((found.train.len(), found.validation.unwrap().len(), found.test.len()), (4, 4, 4));
    fs::remove_file(root.path().join("pets-test1.tar")).unwrap();
    let found = shards(root.path(), HELD).unwrap();
    assert!(found.validation.is_none() && found.test.len() == 4);
}

#[test]
fn the_test_set_may_have_other_classes_than_the_training_set() {
    let root = TempDir::new().unwrap();
    fill(&root.path().join("train"), &["a", "b"], 3);
    fill(&root.path().join("test"), &["b"], 2);
    let found = folder(root.path(), HELD).unwrap();
    assert_eq!((found.test.len(), found.test.label(0)), (2, 1), "a single class");
    assert!(found.skipped.sentences().is_empty());
    fill(&root.path().join("test"), &["b", "unknown"], 2);
    let found = folder(root.path(), HELD).unwrap();
    assert_eq!((found.train.class_names().len(), found.test.len()), (2, 2));
    assert_eq!(
        found.skipped.sentences(),
        ["2 images of the test set are left out: their class is not in the training set (unknown)"]
    );
}
