//! Archives of images with several labels.

use super::*;

/// An archive of images with these members beside each; the members' names are endings.
fn fill_with(root: &Path, archive_name: &str, members: &[&[(&str, &str)]]) {
    let image = png([1, 2, 3], 5, 5);
    let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
    for (number, members) in members.iter().enumerate() {
        entries.push((format!("{number:02}.png"), image.clone()));
        for (ending, text) in *members {
            entries.push((format!("{number:02}.{ending}"), text.as_bytes().to_vec()));
        }
    }
    let entries: Vec<(&str, &[u8])> =
        entries.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    archive(&root.join(archive_name), &entries);
}

fn all_labels(set: &ImageFiles) -> Vec<Vec<u32>> {
    let mut labels = Vec::new();
    let mut of = |index| {
        set.labels(index, &mut labels);
        labels.clone()
    };
    (0..set.len()).map(&mut of).collect()
}

#[test]
fn lists_in_members_are_the_labels() {
    let folder_ = TempDir::new().unwrap();
    let root = folder_.path();
    let members: [&[(&str, &str)]; 6] = [
        &[("cls", "3,1")],
        &[("cls", "2\n")],
        &[("cls", "[]")],
        &[("json", "[2, 0, 2]")],
        &[("json", r#"{"labels": [3], "caption": "cats"}"#)],
        // As before there were lists: a number counts, whatever else is there.
        &[("json", "{"), ("cls", "0"), ("txt", "cats")],
    ];
    fill_with(root, "train-0.tar", &members);
    fill_with(root, "test-0.tar", &[&[("cls", "1")], &[("cls", "0")]]);
    let found = shards(root, HELD).unwrap();
    assert!(found.train.is_multi_label() && found.test.is_multi_label());
    let expected = [vec![1, 3], vec![2], vec![], vec![0, 2], vec![3], vec![0]];
    assert_eq!(all_labels(&found.train), expected);
    assert_eq!(all_labels(&found.test), [[1], [0]]);
    assert_eq!(found.train.images_by_class(), [2, 1, 2, 2]);
    assert_eq!(found.train.label(0), 1);
    assert_eq!(found.skipped.files(), 2, "the last JSON, and the text");
    put(root, "classes.txt", b"ant\nbee\ncat\n");
    assert!(refusal(shards(root, HELD)).starts_with("label 3 has no name"));
}

#[test]
fn numbers_alone_stay_a_set_of_one_label() {
    let folder_ = TempDir::new().unwrap();
    fill_with(folder_.path(), "0.tar", &[&[("json", "[1, 2]"), ("cls", "1")], &[("cls", "0")]]);
    let found = shards(folder_.path(), Held { fraction: 0., ..HELD }).unwrap();
    assert!(!found.train.is_multi_label());
    assert_eq!(all_labels(&found.train), [[1], [0]]);
}

#[test]
fn wrong_members_are_refused() {
    let folder_ = TempDir::new().unwrap();
    let root = folder_.path();
    for (member, expected) in [
        (("cls", "3,x"), "00.cls is not a list of labels: \"3,x\"; expected numbers"),
        (("cls", "3 17"), "00.cls is not a label: \"3 17\""),
        (("json", "[1.5]"), "00.json: [1.5] is no list of labels; expected"),
        (("json", "{}"), "00 has an image but no label (00.cls, or \"labels\" in 00.json)"),
        (("json", "["), "00.json is no JSON: "),
        (("cls", "0,9"), "0.tar/00.png has label 9, but there are only 1 images"),
    ] {
        fill_with(root, "0.tar", &[&[member]]);
        let message = refusal(shards(root, HELD));
        assert!(message.contains(expected), "{member:?}: {message}");
    }
}

#[test]
fn images_are_held_back_whatever_their_labels() {
    let held = |lists: [&'static str; 2]| {
        let folder_ = TempDir::new().unwrap();
        let members: Vec<[(&str, &str); 1]> =
            (0..60).map(|number| [("cls", lists[number % 2])]).collect();
        let members: Vec<&[(&str, &str)]> = members.iter().map(|members| &members[..]).collect();
        fill_with(folder_.path(), "0.tar", &members);
        let found = shards(folder_.path(), HELD).unwrap();
        assert!(found.held && found.train.len() + found.test.len() == 60);
        (0..found.test.len()).map(|index| found.test.file(index).unwrap().0).collect::<Vec<_>>()
    };
    let some = held(["0,1", "1"]);
    assert!((5..=30).contains(&some.len()), "about a quarter: {some:?}");
    assert_eq!(some, held(["[0]", "[]"]));
}

#[test]
fn ranks_join_lists() {
    let folder_ = TempDir::new().unwrap();
    for (name, text) in [("0.tar", "1"), ("1.tar", "0,1")] {
        fill_with(folder_.path(), name, &[&[("cls", text)]]);
    }
    let of = |rank| {
        let share = Share { rank, world_size: 2 };
        let index = Shards::list(folder_.path()).unwrap().index(share).unwrap();
        serde_json::from_str(&serde_json::to_string(&index).unwrap()).unwrap()
    };
    let index = ShardIndex::joined(vec![of(0), of(1)]);
    let found = Shards::list(folder_.path()).unwrap();
    let found = found.found(index, Held { fraction: 0., ..HELD }).unwrap();
    assert_eq!(all_labels(&found.train), [vec![1], vec![0, 1]]);
}
