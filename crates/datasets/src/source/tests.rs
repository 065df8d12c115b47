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
