//! Tables of images with several labels.

use super::*;
use crate::ImageFiles;

fn parted(separator: char) -> TableColumns {
    TableColumns { separator: Some(separator), ..TableColumns::default() }
}

fn classes(names: &[&str]) -> TableColumns {
    let labels = Some(names.iter().map(ToString::to_string).collect());
    TableColumns { labels, ..TableColumns::default() }
}

/// The names of the labels of every image of a set, by its name.
fn of(set: &ImageFiles) -> BTreeMap<String, String> {
    let mut labels = Vec::new();
    let mut image = |index| {
        set.labels(index, &mut labels);
        let names: Vec<&str> =
            labels.iter().map(|label| &*set.class_names()[*label as usize]).collect();
        (set.file(index).unwrap().0, names.join("+"))
    };
    (0..set.len()).map(&mut image).collect()
}

/// `image labels` of every image of all parts.
#[track_caller]
fn all(found: &Found) -> Vec<String> {
    let mut all = of(&found.train);
    all.extend(of(&found.test));
    all.into_iter().map(|(image, labels)| format!("{image} {labels}")).collect()
}

const EXPECTED: [&str; 4] = ["1.png cat+dog", "2.png dog", "3.png ", "4.png bird+cat"];

#[test]
fn labels_of_a_cell_are_parted_by_the_separator() {
    let folder = with(&FOUR);
    for (separator, cells) in [
        ('|', ["cat|dog", "dog", "", "cat|bird"]),
        (';', ["dog; cat", "dog;", "NaN", "bird ;cat"]),
        (' ', ["cat  dog", "dog", "", "cat bird"]),
        (',', ["\"cat,dog\"", "dog", "", "\"cat, bird\""]),
        ('/', ["cat/dog/cat", "dog", "", "cat/bird"]),
    ] {
        let rows = (0..4).map(|row| format!("{}.png,{}\n", row + 1, cells[row]));
        let text = format!("image,tags\n{}", rows.collect::<String>());
        let found = read_as(&folder, "labels.csv", &text, &parted(separator)).unwrap();
        assert_eq!(all(&found), EXPECTED, "'{separator}'");
        assert!(found.train.is_multi_label() && found.test.is_multi_label() && found.held);
        assert_eq!(
            found.skipped.remarks,
            ["1 of 4 rows have no label, and are images of no class"],
            "'{separator}'"
        );
    }
}

#[test]
fn columns_of_classes_are_named_in_their_order() {
    let folder = with(&FOUR);
    let text = "image,dog,note,cat,bird,owl\n1.png,1,x,1,0,0\n2.png,1.0,x,0.0,,0\n3.png,0,x,0,0,0\n4.png,False,x,True,TRUE,0\n";
    let found =
        read_as(&folder, "labels.csv", text, &classes(&["bird", "Cat", "dog", "owl"])).unwrap();
    assert_eq!(all(&found), EXPECTED);
    assert_eq!(found.train.class_names(), ["bird", "cat", "dog", "owl"]);
    assert_eq!(
        found.skipped.remarks,
        [
            "1 cells of the columns of classes are empty, and are read as 0",
            "1 of 4 rows have no label, and are images of no class"
        ]
    );
}

#[test]
fn numbers_stay_in_their_order() {
    let folder = with(&FOUR);
    let text = "image,label\n1.png,10|9\n2.png,100\n3.png,9.0\n4.png,\n";
    let found = read_as(&folder, "labels.csv", text, &parted('|')).unwrap();
    assert_eq!(all(&found), ["1.png 9+10", "2.png 100", "3.png 9", "4.png "]);
}

#[test]
fn parts_are_spelt_as_in_any_table() {
    let folder = with(&["1.png", "2.png", "3.png", "4.png", "5.png", "6.png"]);
    let text = "image,label,split\n1.png,a|b,Training\n2.png,b,train\n3.png,a,valid\n4.png,,dev\n5.png,a|b,TEST\n6.png,b|owl,testing\n";
    let found = read_as(&folder, "labels.csv", text, &parted('|')).unwrap();
    let validation = found.validation.unwrap();
    assert_eq!((found.train.len(), validation.len(), found.held), (2, 2, false));
    assert_eq!(of(&validation)["4.png"], "");
    assert_eq!(of(&found.test)["6.png"], "b", "no network could answer with owl");
    assert_eq!(
        found.skipped.remarks.last().unwrap(),
        "1 labels of the test set are ignored, since the training set has none of their classes: owl"
    );
    let text = "image,label,split\n1.png,a|b,train\n2.png,b,train\n3.png,owl,test\n";
    let said = refusal(read_as(&folder, "labels.csv", text, &parted('|')));
    assert!(said.ends_with("is not in the training set: owl"), "{said}");
}

#[test]
fn wrong_cells_are_refused_with_their_line() {
    let folder = with(&FOUR);
    let check = |columns: &TableColumns, text: &str, expected: &str| {
        let said = refusal(read_as(&folder, "labels.csv", text, columns));
        assert!(said.contains(expected), "{expected}: {said}");
    };
    let bar = parted('|');
    check(
        &bar,
        "image,label\n1.png,cat||dog\n2.png,dog\n",
        "line 2: 'cat||dog' has no label at one side of a separator '|'",
    );
    check(&bar, "image,label\n1.png,cat\n2.png,|dog\n", "line 3: '|dog' has no label at one side");
    check(&bar, "image,label\n1.png,cat|NaN\n2.png,dog\n", "line 2: 'cat|NaN' has no label at");
    check(
        &bar,
        "image,label\n1.png,cat|dog\n2.png,\"['cat', 'dog']\"\n",
        "line 3: '['cat', 'dog']' is a list as a program prints it; write the labels with '|'",
    );
    check(
        &bar,
        "image,label\n1.png,cat|dog\n2.png,cat;dog\n",
        "line 3: 'cat;dog' is one label by the separator '|', and its parts are labels of other rows",
    );
    check(
        &bar,
        "image,label\n1.png,cat;dog\n2.png,dog;owl\n",
        "no row of column label has the separator '|', but line 2 has 'cat;dog'",
    );
    check(
        &bar,
        "image,label\n1.png,cat|dog\n1.png,\n",
        "1.png is 'cat, dog' by line 2 and of no class by line 3; keep one row",
    );
    check(&bar, "image,label\n1.png,cat|cat\n2.png,cat\n", "all rows have the label 'cat'");
    check(&bar, "image,label\n1.png,\n2.png,\n", "no row has a label in column label");
    check(&parted(','), "image,label\n1.png,cat,dog\n2.png,dog\n", "quote a cell that holds");
    let long = format!("image,label\n1.png,cat|{}\n2.png,dog\n", "x".repeat(1001));
    check(&bar, &long, "line 2: the label has 1001 bytes");

    let two = classes(&["cat", "dog"]);
    check(
        &two,
        "image,cat,dog\n1.png,1,0\n2.png,-1,1\n",
        "line 3: column cat is '-1', expected 1 for an image of this class, 0 or nothing",
    );
    check(&two, "image,cat,dog\n1.png,0,0\n2.png,0,0\n", "no row has a label in column cat, dog");
    check(&two, "image,cat,owl\n1.png,1,0\n", "there is no column 'dog'");
    check(
        &classes(&["cat", "Cat"]),
        "image,cat,dog\n1.png,1,0\n",
        "column 'cat' was asked for twice",
    );
    let image = TableColumns { image: Some("cat".into()), ..two.clone() };
    check(&image, "image,cat,dog\n1.png,1,0\n", "column 'cat' was asked for twice");
    let split = TableColumns { split: Some("dog".into()), ..two.clone() };
    check(&split, "image,cat,dog\n1.png,1,0\n", "column 'dog' was asked for twice");
    for (other, columns) in [
        ("label", TableColumns { label: Some("cat".into()), ..two.clone() }),
        ("separator", TableColumns { separator: Some('|'), ..two }),
    ] {
        check(&columns, "image,cat,dog\n1.png,1,0\n", &format!("so that ?{other} has no column"));
    }
    let rows = "image,cat,dog\n1.png,1,0\n2.png,0,1\n";
    check(&bar, rows, "no column with labels whose cells '|' could part");
}

#[test]
fn a_single_class_is_one_where_an_image_lacks_it() {
    let folder = with(&FOUR);
    let text = "image,cat\n1.png,1\n2.png,0\n3.png,0\n4.png,1\n";
    let found = read_as(&folder, "labels.csv", text, &classes(&["cat"])).unwrap();
    assert_eq!(found.train.class_names(), ["cat"]);
    let text = "image,label\n1.png,cat|\n2.png,\n3.png,\n4.png,\n";
    let found = read_as(&folder, "labels.csv", text, &parted('|')).unwrap();
    assert_eq!(all(&found), ["1.png cat", "2.png ", "3.png ", "4.png "]);
}

#[test]
fn rows_of_one_label_each_may_be_such_a_set() {
    let folder = with(&FOUR);
    let text = "image,label\n1.png,cat\n2.png,hot dog\n3.png,dog\n4.png,hot\n";
    let found = read_as(&folder, "labels.csv", text, &parted('|')).unwrap();
    assert!(found.train.is_multi_label());
    assert_eq!(
        found.skipped.remarks,
        ["no row of column label has the separator '|': every image has one label at most"]
    );
}

#[test]
fn images_are_held_back_whatever_their_labels() {
    let images: Vec<String> = (0..60).map(|number| format!("{number}.png")).collect();
    let folder = with(&images.iter().map(String::as_str).collect::<Vec<_>>());
    let held = |label: &dyn Fn(usize) -> &'static str| -> Vec<String> {
        let rows: String =
            (0..60).map(|number| format!("{number}.png,{}\n", label(number))).collect();
        let text = format!("image,label\n{rows}");
        let found = read_as(&folder, "labels.csv", &text, &parted('|')).unwrap();
        assert!(found.held && found.train.len() + found.test.len() == 60);
        of(&found.test).into_keys().collect()
    };
    let some = held(&|number| ["a|b", "b", "", "a"][number % 4]);
    assert!((5..=30).contains(&some.len()), "about a quarter: {some:?}");
    assert_eq!(some, held(&|number| if number == 7 { "only|a" } else { "a" }), "by names alone");
}
