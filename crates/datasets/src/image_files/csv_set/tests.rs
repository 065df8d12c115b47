//! Tables as spreadsheets, pandas and Kaggle write them.

mod several;

use std::collections::BTreeMap;
use std::fs;

use image::{ImageFormat, RgbImage};
use tempfile::TempDir;

use super::*;
use crate::Source;

const HELD: Held = Held { fraction: 0.25, seed: 3 };

/// A folder with small images of these names.
fn with(images: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in images {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let ending = ImageFormat::from_path(&path).unwrap();
        RgbImage::new(4, 4).save_with_format(path, ending).unwrap();
    }
    folder
}

fn read(folder: &TempDir, text: &(impl AsRef<[u8]> + ?Sized)) -> Result<Found, Error> {
    read_as(folder, "labels.csv", text, &TableColumns::default())
}

fn read_as(
    folder: &TempDir,
    name: &str,
    text: &(impl AsRef<[u8]> + ?Sized),
    columns: &TableColumns,
) -> Result<Found, Error> {
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    table(&file, columns, HELD)
}

/// The label and the part of each image by its name.
fn images(found: &Found) -> BTreeMap<String, (String, &'static str)> {
    let parts = [
        ("train", Some(&found.train)),
        ("val", found.validation.as_ref()),
        ("test", Some(&found.test)),
    ];
    let mut images = BTreeMap::new();
    for (part, set) in parts {
        for index in 0..set.map_or(0, |set| set.len()) {
            let set = set.unwrap();
            let label = set.class_names()[set.label(index) as usize].clone();
            images.insert(set.file(index).unwrap().0, (label, part));
        }
    }
    images
}

/// `image label` of every image.
#[track_caller]
fn labels(found: Result<Found, Error>) -> Vec<String> {
    let found = found.unwrap();
    images(&found).into_iter().map(|(name, (label, _))| format!("{name} {label}")).collect()
}

fn refusal(found: Result<Found, Error>) -> String {
    found.err().expect("a refusal").to_string()
}

const FOUR: [&str; 4] = ["1.png", "2.png", "3.png", "4.png"];
const LABELLED: [&str; 4] = ["1.png cat", "2.png cat", "3.png dog", "4.png dog"];

#[test]
fn encodings_separators_and_line_ends_do_not_matter() {
    let folder = with(&FOUR);
    let plain = "image,label\n1.png,cat\n2.png,cat\n3.png,dog\n4.png,dog\n";
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(plain.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let cases: [(&str, Vec<u8>); 9] = [
        ("plain", plain.into()),
        ("byte-order mark", format!("\u{feff}{plain}").into()),
        ("CRLF", plain.replace('\n', "\r\n").into()),
        ("semicolons", plain.replace(',', ";").into()),
        ("tabs", plain.replace(',', "\t").into()),
        ("spaces", plain.replace(',', " , ").into()),
        ("Excel", format!("sep=;\r\n{}", plain.replace(',', ";")).into()),
        ("blank lines", plain.replace('\n', "\n\n,\n").into()),
        ("UTF-16", utf16),
    ];
    for (case, text) in cases {
        let found = read(&folder, &text);
        assert!(found.is_ok(), "{case}: {}", found.err().unwrap());
        assert_eq!(labels(found), LABELLED, "{case}");
    }
    let latin1 = b"image,label\n1.png,caf\xe9\n2.png,caf\xe9\n3.png,dog\n4.png,dog\n";
    assert_eq!(labels(read(&folder, latin1))[0], "1.png café");
}

#[test]
fn cells_may_be_quoted() {
    let folder = with(&["a, b.png", "2.png", "3.png", "4.png"]);
    let text = "\"image\",\"label\"\n\"a, b.png\",\"salt, \"\"pepper\"\"\"\n2.png,\"salt, \"\"pepper\"\"\"\n3.png,x\n4.png,x\n";
    assert_eq!(
        labels(read(&folder, text)),
        ["2.png salt, \"pepper\"", "3.png x", "4.png x", "a, b.png salt, \"pepper\""]
    );
}

#[test]
fn columns_are_found_by_common_names() {
    let folder = with(&FOUR);
    for header in [
        "image,label",
        "Image,Id",
        "filename,class",
        "FILE_NAME,Category",
        "id,breed",
        "image_id,target",
        "File Path,y",
        "img_path,Class Name",
    ] {
        let rows = "\n1.png,cat\n2.png,cat\n3.png,dog\n4.png,dog\n";
        assert_eq!(labels(read(&folder, &format!("{header}{rows}"))), LABELLED, "{header}");
    }
    let named = "class id,labels,filepaths,data set\n0,cat,1.png,train\n0,cat,2.png,valid\n1,dog,3.png,train\n1,dog,4.png,test\n";
    let found = read(&folder, named).unwrap();
    let parts: Vec<&str> = images(&found).values().map(|(_, part)| *part).collect();
    assert_eq!(parts, ["train", "val", "train", "test"]);
    assert_eq!(labels(Ok(found)), LABELLED, "names rather than their numbers");
    let without_header = "1.png;cat\n2.png;cat\n3.png;dog\n4.png;dog\n";
    assert_eq!(labels(read(&folder, without_header)), LABELLED);
}

#[test]
fn a_doubt_about_columns_is_said_with_its_cure() {
    let folder = with(&FOUR);
    let text = "photo_of,kind,age\n1.png,cat,3\n2.png,cat,4\n3.png,dog,3\n4.png,dog,1\n";
    let said = refusal(read(&folder, text));
    let (_, said) = said.split_once("labels.csv: ").unwrap();
    assert!(
        said.starts_with("which column has the labels? It has kind, age; say it: 'csv:/"),
        "{said}"
    );
    assert!(said.ends_with("/labels.csv?label=COLUMN'"), "{said}");
    let kind = TableColumns { label: Some("Kind".into()), ..TableColumns::default() };
    assert_eq!(labels(read_as(&folder, "labels.csv", text, &kind)), LABELLED);
    let said = refusal(read(&folder, "image,label,class\n1.png,a,x\n2.png,b,x\n3.png,a,y\n"));
    assert!(said.contains("which column has the labels? It has label, class"), "{said}");
    let wrong = TableColumns { label: Some("colour".into()), ..TableColumns::default() };
    let said = refusal(read_as(&folder, "labels.csv", text, &wrong));
    assert!(said.contains("there is no column 'colour'; it has photo_of, kind, age"), "{said}");
}

/// `train.csv` beside `train/`, as Kaggle packs it, and others like it.
#[test]
fn the_images_are_found_by_looking() {
    let check = |images: [&str; 4], table: &str, ids: [&str; 4]| {
        let folder = with(&images);
        let rows: Vec<String> = ids
            .iter()
            .zip(["cat", "cat", "dog", "dog"])
            .map(|(id, label)| format!("{id},{label}"))
            .collect();
        let found = read_as(
            &folder,
            table,
            &format!("id,label\n{}\n", rows.join("\n")),
            &TableColumns::default(),
        );
        let mut expected: Vec<String> = images
            .iter()
            .zip(["cat", "cat", "dog", "dog"])
            .map(|(image, label)| format!("{image} {label}"))
            .collect();
        expected.sort();
        assert_eq!(labels(found), expected, "{table}: {ids:?}");
    };
    let train = ["train/1.jpg", "train/2.jpg", "train/3.jpg", "train/4.png"];
    check(train, "train.csv", ["1", "2", "3", "4"]);
    check(train, "labels.csv", ["train/1.jpg", "train\\2.jpg", "./train/3.jpg", "4.png"]);
    check(
        train,
        "train.csv",
        ["/kaggle/input/x/train/1.jpg", "C:\\data\\train\\2.jpg", "train/3", "4"],
    );
    check(
        [
            "images_part_1/1.jpg",
            "images_part_1/2.jpg",
            "images_part_2/3.jpg",
            "images_part_2/4.jpg",
        ],
        "metadata.csv",
        ["1", "2", "3", "4"],
    );
    check(
        ["train_images/1.jpg", "train_images/2.jpg", "train_images/3.jpg", "test_images/4.jpg"],
        "x.csv",
        ["1", "2", "3", "4"],
    );
}

#[test]
fn a_folder_called_as_the_table_comes_first() {
    let folder = with(&[
        "train/1.jpg",
        "train/2.jpg",
        "test/1.jpg",
        "test/2.jpg",
        "train/3.jpg",
        "train/4.jpg",
    ]);
    let text = "id,label\n1,cat\n2,dog\n3,dog\n4,cat\n";
    let found = read_as(&folder, "train.csv", text, &TableColumns::default());
    assert_eq!(
        labels(found),
        ["train/1.jpg cat", "train/2.jpg dog", "train/3.jpg dog", "train/4.jpg cat"]
    );
    let said = refusal(read(&folder, text));
    assert!(
        said.contains("line 2: '1' could be test/1.jpg or train/1.jpg; say in which folder"),
        "{said}"
    );
    let given = TableColumns { folder: Some("train".into()), ..TableColumns::default() };
    assert_eq!(
        labels(read_as(&folder, "labels.csv", text, &given)),
        ["1.jpg cat", "2.jpg dog", "3.jpg dog", "4.jpg cat"]
    );
    // A row's own part says the folder, too.
    let text = "id,label,split\n1,cat,train\n2,dog,train\n1,cat,test\n2,dog,test\n";
    let found = read(&folder, text).unwrap();
    assert_eq!((found.train.len(), found.test.len(), found.held), (2, 2, false));
    // Nothing is taken from the test images for a table for training.
    fs::remove_file(folder.path().join("train/2.jpg")).unwrap();
    let found = read_as(
        &folder,
        "train.csv",
        "id,label\n1,cat\n2,dog\n3,dog\n4,cat\n1,cat\n",
        &TableColumns::default(),
    );
    let said = refusal(found);
    assert!(said.starts_with("1 class has one image each (dog)"), "{said}");
}

#[test]
fn rows_without_image_or_label_are_counted_and_named() {
    let folder = with(&FOUR);
    let text = "image,label\n1.png,1.0\n2.png,1.0\n3.png,10.0\n4.png,10.0\n5.png,1.0\n6.png,10.0\n4.png,10.0\n1.png,\n";
    let found = read(&folder, text).unwrap();
    assert_eq!(found.train.class_names(), ["1", "10"]);
    assert_eq!(
        found.skipped.sentences(),
        [
            "1 of 8 rows have no label, and are left out",
            "2 of 8 rows name images that are not there, and are left out: 5.png, 6.png",
            "1 rows say again what another row says, and are ignored",
        ]
    );
    let said = refusal(read(&folder, "image,label\n7.png,a\n8.png,b\n"));
    assert!(
        said.contains(
            "none of the images that its 2 rows name is there: '7.png' was looked for in "
        ),
        "{said}"
    );
}

#[test]
fn numbers_are_classes_in_their_order() {
    let folder = with(&FOUR);
    let found = read(&folder, "image,label\n1.png,10\n2.png,10\n3.png,9\n4.png,9\n").unwrap();
    assert_eq!(found.train.class_names(), ["9", "10"]);
}

#[test]
fn a_column_for_each_class_is_one_label() {
    let folder = with(&FOUR);
    let text = "image,cat,dog\n1.png,1,0\n2.png,1.0,0.0\n3.png,0,1\n4.png,0,1\n";
    assert_eq!(labels(read(&folder, text)), LABELLED);
    let said = refusal(read(&folder, "image,cat,dog\n1.png,1,0\n2.png,1,1\n"));
    assert!(
        said.contains("line 3: 'cat, dog' is several labels; where images have several, say so")
            && said.contains("('csv:FILE?labels=cat,dog')"),
        "{said}"
    );
}

#[test]
fn several_labels_are_refused() {
    let folder = with(&FOUR);
    for (several, others) in [
        ("cat|dog", "x"),
        ("cat dog", "cat"),
        ("cat;dog", "cat"),
        ("\"cat, dog\"", "cat"),
        ("\"['cat']\"", "x"),
    ] {
        let said = refusal(read(
            &folder,
            &format!("image,labels\n1.png,{others}\n2.png,dog\n3.png,{several}\n4.png,{several}\n"),
        ));
        assert!(
            said.contains("line 4: ") && said.contains("is several labels, as in 2 rows"),
            "{several}: {said}"
        );
    }
    let said = refusal(read(&folder, "image,label\n1.png,cat\n2.png,cat\n1.png,dog\n3.png,dog\n"));
    assert!(said.contains("1.png is 'cat' by line 2 and 'dog' by line 4; keep one row"), "{said}");
    let said =
        refusal(read(&folder, "image,label,split\n1.png,a,train\n2.png,b,train\n1.png,a,test\n"));
    assert!(
        said.contains("1.png is in the training set by line 2 and in the test set by line 4"),
        "{said}"
    );
}

#[test]
fn splits_are_read_in_any_case() {
    let folder = with(&FOUR);
    let text = "image,label,Subset\n1.png,cat,TRAIN\n2.png,cat,Testing\n3.png,dog,training\n4.png,dog,test\n";
    let found = read(&folder, text).unwrap();
    assert_eq!(
        (found.train.len(), found.validation.is_some(), found.test.len(), found.held),
        (2, false, 2, false)
    );
    let folds = "image,label,fold\n1.png,cat,0\n2.png,cat,1\n3.png,dog,0\n4.png,dog,1\n";
    let found = read(&folder, folds).unwrap();
    assert!(found.held && found.skipped.sentences()[0].starts_with("column fold is ignored"));
    let said = refusal(read(&folder, &text.replace("Testing", "extra")));
    assert!(
        said.contains("one of its values is no part: 'extra' in 1 row; use train, val and test"),
        "{said}"
    );
    let said = refusal(read(&folder, &text.replace("TRAIN", "val").replace("training", "val")));
    assert!(said.contains("column Subset has rows for test and none for train"), "{said}");
    let said = refusal(read(
        &folder,
        "image,label,split\n1.png,cat,train\n3.png,dog,train\n2.png,owl,test\n",
    ));
    assert!(
        said.contains("1 class of the test set in ")
            && said.ends_with("is not in the training set: owl"),
        "{said}"
    );
}

#[test]
fn tables_that_are_none_are_refused() {
    let folder = with(&FOUR);
    let check = |text: &str, expected: &str| {
        let said = refusal(read(&folder, text));
        assert!(said.contains(expected), "{expected}: {said}");
    };
    check("", "it has no rows");
    check("image,label\n", "it has no rows");
    check("image\n1.png\n", "it has one column (image)");
    check(
        "image,label\n1.png,cat,big\n",
        "line 2 has 3 cells where the header has 2; quote a cell that holds the separator ','",
    );
    check("image,label\n1.png,cat\n2.png,cat\n", "all rows have the label 'cat'");
    check("image,label\n1.png,\n2.png,\n", "no row has a label in column label");
    let missing = table(&folder.path().join("none.csv"), &TableColumns::default(), HELD);
    assert!(refusal(missing).starts_with("cannot read "));
    let given = TableColumns { folder: Some("nowhere".into()), ..TableColumns::default() };
    assert!(
        refusal(read_as(&folder, "labels.csv", "image,label\n1.png,a\n", &given))
            .contains("nowhere")
    );
}

/// Ids without endings, and no header: the first row is an image, too.
#[test]
fn a_first_row_that_is_an_image_is_no_header() {
    let folder = with(&FOUR);
    assert_eq!(labels(read(&folder, "1,cat\n2,cat\n3,dog\n4,dog\n")), LABELLED);
    // A name that people give to columns is a header, whatever files there are.
    let folder = with(&["image.png", "2.png", "3.png", "4.png", "5.png"]);
    let found = read(&folder, "image,label\n2,cat\n3,cat\n4,dog\n5,dog\n").unwrap();
    assert_eq!(images(&found).len(), 4);
}

#[test]
fn a_quote_that_swallows_rows_is_named() {
    let folder = with(&FOUR);
    let text = "image,label,note\n1.png,cat,5\" long\n2.png,cat,\"odd\n3.png,dog,x\n4.png,dog,x\n";
    let refused = refusal(read(&folder, text));
    assert!(refused.contains("line 3 opens a quote (\") that is not closed"), "{refused}");
    let text = "image,label,note\n1.png,cat,\"two\nlines, and words\"\n2.png,cat,x\n3.png,dog,x\n4.png,dog,x\n";
    assert_eq!(labels(read(&folder, text)), LABELLED);
}

#[test]
fn columns_of_yes_and_no_are_parts() {
    let folder = with(&["1.png", "2.png", "3.png", "4.png", "5.png", "6.png"]);
    let parts = |text: &str| -> String {
        let found = read(&folder, text).unwrap();
        images(&found).into_values().map(|(_, part)| &part[..2]).collect::<Vec<_>>().join(" ")
    };
    let rows = |header: &str, flags: [&str; 6]| {
        let rows =
            (0..6).map(|row| format!("{}.png,{},{}\n", row + 1, ["a", "b"][row % 2], flags[row]));
        format!("{header}\n{}", rows.collect::<String>())
    };
    let valid = ["False", "False", "False", "False", "True", "True"];
    assert_eq!(parts(&rows("fname,label,is_valid", valid)), "tr tr tr tr te te");
    let train = ["1", "1", "1", "1", "0", "0"];
    assert_eq!(parts(&rows("fname,label,is_train", train)), "tr tr tr tr te te");
    let both = ["0,0", "0,0", "1,0", "1,0", "0,1", "0,1"];
    assert_eq!(parts(&rows("fname,label,is_val,is_test", both)), "tr tr va va te te");
    let image = ["yes", "yes", "yes", "yes", "no", "no"];
    assert_eq!(parts(&rows("fname,label,is_training_image", image)), "tr tr tr tr te te");
    let asked = |column: &str, flags: [&str; 6]| {
        let columns = TableColumns { split: Some(column.to_string()), ..TableColumns::default() };
        let text = rows(&format!("fname,label,{column}"), flags);
        read_as(&folder, "labels.csv", &text, &columns)
    };
    for (column, flags) in [("train", train), ("in_train", train), ("test", valid)] {
        let found = asked(column, flags).unwrap();
        assert_eq!((found.train.len(), found.test.len()), (4, 2), "{column}");
    }
    let refused = refusal(asked("odd", valid));
    assert!(refused.contains("its name does not say which part of the set yes means"), "{refused}");
    // Of a person, and of the image.
    for column in ["is_test_positive", "is_valid_image"] {
        assert!(read(&folder, &rows(&format!("fname,label,{column}"), train)).unwrap().held);
    }
    // A column of another name that can mean nothing else.
    let teil = ["train", "train", "train", "train", "Test", "Test"];
    let found = read(&folder, &rows("fname,label,Teil", teil)).unwrap();
    assert_eq!((found.train.len(), found.test.len(), found.held), (4, 2, false));
    assert_eq!(found.skipped.remarks, ["column Teil says the parts of the set"]);
    // Without being asked, a bare name is remarked only.
    let found = read(&folder, &rows("fname,label,valid", train)).unwrap();
    assert!(found.held);
    assert_eq!(
        found.skipped.remarks,
        ["column valid is not taken for the parts of the set; ?split=valid takes it"]
    );
}

#[test]
fn columns_of_0_and_1_are_classes_only_where_rows_have_one() {
    let folder = with(&FOUR);
    let table = |header: &str, cells: [&str; 4]| {
        let rows = (0..4).map(|row| format!("{}.png,{}\n", row + 1, cells[row]));
        format!("image,{header}\n{}", rows.collect::<String>())
    };
    let found =
        read(&folder, &table("cat,dog", ["True,False", "True,False", "False,True", "False,True"]));
    assert_eq!(
        found.as_ref().unwrap().skipped.remarks,
        ["the classes are the columns of 0 and 1: cat, dog"]
    );
    assert_eq!(labels(found), LABELLED);
    let refused =
        refusal(read(&folder, &table("malignant,has_ruler", ["0,0", "0,1", "1,0", "0,0"])));
    assert!(refused.contains("which column has the labels?"), "{refused}");
    let both = table("is_cat,is_dog,day,night", ["1,0,1,0", "1,0,0,1", "0,1,1,0", "0,1,0,1"]);
    let refused = refusal(read(&folder, &both));
    assert!(refused.contains("'is_cat, day' is several labels"), "{refused}");
}

#[test]
fn numbers_are_one_class_however_they_are_written() {
    let folder = with(&FOUR);
    let found = read(&folder, "image,label\n1.png,0\n2.png,0.0\n3.png,1\n4.png,1.0\n").unwrap();
    assert_eq!(found.train.class_names(), ["0", "1"]);
    let long = "x".repeat(1001);
    let refused = refusal(read(&folder, &format!("image,label\n1.png,{long}\n2.png,b\n")));
    assert!(refused.contains("line 2: the label has 1001 bytes"), "{refused}");
}

#[test]
fn columns_that_are_no_labels_are_not_taken_for_them() {
    let folder = with(&FOUR);
    let refused = refusal(read(&folder, "image,x,y\n1.png,1,2\n2.png,3,4\n3.png,5,6\n4.png,7,8\n"));
    assert!(refused.contains("which column has the labels?"), "{refused}");
    let text = "image,cat,dog,is_augmented\n1.png,1,0,0\n2.png,1,0,1\n3.png,0,1,0\n4.png,0,1,1\n";
    assert_eq!(labels(read(&folder, text)), LABELLED);
}

#[test]
fn missing_labels_and_spellings_are_said() {
    let folder = with(&["1.png", "2.png", "3.png", "4.png", "5.png"]);
    let text = "image,label\n1.png,cat\n2.png,cat\n3.png,dog\n4.png,dog\n5.png,NaN\n";
    let found = read(&folder, text).unwrap();
    assert_eq!(found.skipped.remarks, ["1 of 5 rows have no label, and are left out"]);
    let found = read(&folder, "image,label\n1.png,cat\n2.png,cat\n3.png,Cat\n4.png,Cat\n").unwrap();
    assert_eq!(
        found.skipped.remarks,
        ["labels that differ in case only are classes of their own: Cat and cat"]
    );
}
