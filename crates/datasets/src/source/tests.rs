//! Sets made of other sets.

use std::sync::Arc;

use super::*;

fn set(colour: u8, labels: &[u32], classes: &[&str]) -> Arc<dyn Source> {
    let names = classes.iter().map(ToString::to_string).collect();
    let pixels = vec![colour; labels.len() * 2 * 2 * 3];
    Arc::new(Images::new(pixels, labels.to_vec(), 2, 2, names).unwrap())
}

fn labels(set: &dyn Source) -> Vec<u32> {
    (0..set.len()).map(|index| set.label(index)).collect()
}

#[test]
fn two_sets_follow_each_other() {
    let joined = Joined::new(set(1, &[0, 1], &["a", "b"]), set(2, &[1], &["a", "b"]));
    assert_eq!(labels(&joined), [0, 1, 1]);
    assert_eq!((joined.len(), joined.size()), (3, Some([2, 2])));
    let mut room = Decoded::default();
    let mut colour = |index| joined.image(index, &mut room).unwrap().pixels[0][0];
    assert_eq!([0, 1, 2].map(&mut colour), [1, 1, 2]);
    assert_eq!(joined.name(2), "0", "of the second set");
}

#[test]
fn classes_are_found_by_name_and_not_by_place() {
    let all = ["ant", "bee", "cat", "dog"].map(String::from);
    let some = Renumbered::new(set(1, &[0, 1, 1], &["dog", "bee"]), &all).unwrap();
    assert_eq!(labels(&some), [3, 1, 1]);
    assert_eq!(some.class_names(), all);
    let unknown = Renumbered::new(set(1, &[0, 1], &["dog", "owl"]), &all);
    assert_eq!(unknown.err(), Some(vec!["owl".to_string()]));
}

/// A set of images with several labels: of a and c, of none, and of b.
fn several() -> Arc<dyn Source> {
    let names = ["a", "b", "c"].map(String::from).to_vec();
    let labels = [vec![2, 0, 2], vec![], vec![1]];
    Arc::new(Images::multi_label(vec![7; 3 * 12], &labels, 2, 2, names).unwrap())
}

fn all_labels(set: &dyn Source) -> Vec<Vec<u32>> {
    let labels = |index| {
        let mut labels = vec![9, 9];
        set.labels(index, &mut labels);
        labels
    };
    (0..set.len()).map(labels).collect()
}

fn identity(set: &dyn Source) -> Vec<u8> {
    let mut all = Vec::new();
    set.identity(&mut |bytes| all.extend(bytes));
    all
}

#[test]
fn an_image_counts_for_each_of_its_labels() {
    let set = several();
    assert!(set.is_multi_label());
    assert_eq!(all_labels(&*set), [vec![0, 2], vec![], vec![1]]);
    assert_eq!(labels(&*set), [0, 0, 1], "the first, or 0");
    assert_eq!(set.images_by_class(), [1, 1, 1]);
}

#[test]
fn a_set_of_one_label_has_lists_of_one() {
    let one = set(1, &[1, 0], &["a", "b"]);
    assert!(!one.is_multi_label());
    assert_eq!(all_labels(&*one), [[1], [0]]);
    assert_eq!(one.images_by_class(), [1, 1]);
}

#[test]
fn all_labels_are_chosen_joined_and_renumbered() {
    let chosen = Selected::new(several(), vec![2, 0]);
    assert_eq!((all_labels(&chosen), chosen.is_multi_label()), (vec![vec![1], vec![0, 2]], true));
    let one = set(7, &[1], &["a", "b", "c"]);
    for (first, second, expected) in [
        (several(), Arc::clone(&one), vec![vec![0, 2], vec![], vec![1], vec![1]]),
        (one, several(), vec![vec![1], vec![0, 2], vec![], vec![1]]),
    ] {
        let joined = Joined::new(first, second);
        assert_eq!((all_labels(&joined), joined.is_multi_label()), (expected, true));
    }
    let names = ["x", "c", "b", "a"].map(String::from);
    let other = Renumbered::new(several(), &names).unwrap();
    assert_eq!(all_labels(&other), [vec![1, 3], vec![], vec![2]], "sorted anew");
    assert_eq!(labels(&other), [1, 0, 2]);
    assert_eq!(other.images_by_class(), [0, 1, 1, 1]);
}

#[test]
fn any_label_is_part_of_the_identity() {
    let of = |labels: [Vec<u32>; 2]| {
        let names = ["a", "b", "c"].map(String::from).to_vec();
        identity(&Images::multi_label(vec![7; 24], &labels, 2, 2, names).unwrap())
    };
    let all = [
        of([vec![0, 1], vec![]]),
        of([vec![0], vec![1]]),
        of([vec![0, 2], vec![]]),
        of([vec![0], vec![]]),
        of([vec![], vec![]]),
    ];
    for (number, one) in all.iter().enumerate() {
        assert!(all[..number].iter().all(|other| other != one), "{number}");
    }
    assert_eq!(of([vec![1, 0, 1], vec![2]]), of([vec![0, 1], vec![2]]), "whatever their order");
}
