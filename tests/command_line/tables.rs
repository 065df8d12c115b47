//! Tables of labels, as Kaggle packs them: from `csv:FILE` to a run and its evaluation.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::folders::train;
use super::own_images::write_images;
use super::{json, xception};

/// `count` shapes in `root/train`, and their names without endings and labels, one a line.
fn kaggle(root: &Path, count: usize) -> String {
    write_images(&root.join("sorted"), count);
    fs::create_dir_all(root.join("train")).unwrap();
    let mut rows = String::new();
    for class in sorted(&root.join("sorted")) {
        for image in sorted(&class) {
            let name = image.file_name().unwrap().to_str().unwrap();
            fs::rename(&image, root.join("train").join(name)).unwrap();
            let (id, class) =
                (name.trim_end_matches(".png"), class.file_name().unwrap().to_str().unwrap());
            rows += &format!("{id},{class}\n");
        }
    }
    fs::remove_dir_all(root.join("sorted")).unwrap();
    rows
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

#[test]
fn a_table_beside_its_folder_of_images_is_trained_on_in_one_go() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let rows = kaggle(&folder.join("shapes"), 80);
    let text = format!("\u{feff}id,shape\r\n{}missing,disc\r\n", rows.replace('\n', "\r\n"));
    fs::write(folder.join("shapes/train.csv"), text).unwrap();
    let ended = train(folder, "csv:shapes/train.csv", "1");
    let said = "1 of 81 rows name images that are not there, and are left out: missing";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let list = fs::read_to_string(folder.join("run/images.csv")).unwrap();
    let test = list.lines().filter(|line| line.contains(",test,")).count();
    assert_eq!(list.lines().count(), 81, "{list}");
    let measured = xception(folder, &["eval", "--weights", "run", "--json"]);
    assert!(measured.stderr.contains("the run's own list"), "{}", measured.stderr);
    let document = json(&measured);
    assert_eq!(
        (&document["images"], document["classes"].as_array().unwrap().len()),
        (&test.into(), 10)
    );
    // The run's list is itself such a table.
    let data = "csv:run/images.csv?folder=../shapes";
    let of_list = json(&xception(folder, &["eval", "--weights", "run", "--json", "--data", data]));
    assert_eq!((&of_list["images"], &of_list["top1"]), (&document["images"], &document["top1"]));
}

#[test]
fn a_column_may_be_named_and_a_wrong_one_is_refused() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let rows = kaggle(folder, 60);
    let rows: Vec<String> = rows.lines().map(|row| format!("{row},x")).collect();
    fs::write(folder.join("train.csv"), format!("id,shape,note\n{}\n", rows.join("\n"))).unwrap();
    for (data, code, expected) in [
        ("csv:train.csv", 3, "which column has the labels? It has shape, note; say it: 'csv:"),
        ("csv:train.csv", 3, "train.csv?label=COLUMN'"),
        ("csv:train.csv?label=form", 3, "there is no column 'form'; it has id, shape, note"),
        ("csv:train.csv?lable=shape", 2, "there is no 'lable' (did you mean 'label'?)"),
        ("csv:train.csv?labels=shape", 3, "names of classes is named by ?label=COLUMN"),
        ("csv:train.csv?label=note", 3, "all rows have the label 'x'"),
        ("csv:none.csv", 3, "csv:none.csv: "),
        ("train.csv", 2, "(did you mean 'csv:train.csv'?)"),
    ] {
        let refused = xception(folder, &["train", "--out", "run", "--data", data]);
        assert_eq!(refused.code, Some(code), "{data}: {}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{data}: {}", refused.stderr);
        assert!(!folder.join("run").exists(), "{data}");
    }
    train(folder, "csv:train.csv?label=Shape", "1");
}
