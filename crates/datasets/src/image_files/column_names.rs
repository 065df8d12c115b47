//! The names that people give to columns of images, labels and parts, in tables of every format.

/// Names of columns of files, without case, spaces and punctuation.
pub(super) const FILES: [&str; 23] = [
    "image",
    "images",
    "img",
    "imagepath",
    "imagepaths",
    "imgpath",
    "imagefile",
    "imagefilename",
    "imagename",
    "imgname",
    "imgfile",
    "filepath",
    "filepaths",
    "path",
    "paths",
    "file",
    "files",
    "filename",
    "filenames",
    "fname",
    "photo",
    "relpath",
    "relativepath",
];
/// Names of columns with the labels.
pub(super) const LABELS: [&str; 20] = [
    "label",
    "cls",
    "labels",
    "class",
    "classes",
    "classname",
    "classid",
    "classlabel",
    "category",
    "categories",
    "categoryname",
    "categoryid",
    "target",
    "targets",
    "y",
    "labelname",
    "labelid",
    "tag",
    "tags",
    "groundtruth",
];
/// Names of columns that say for which part of the set an image is.
pub(super) const SPLITS: [&str; 8] =
    ["split", "splits", "set", "subset", "fold", "partition", "dataset", "phase"];

/// A name without case, spaces and punctuation.
pub(super) fn normalized(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The place among `columns` of the one called `name`, or else of one whose name differs in case, spaces and punctuation.
pub(super) fn position(columns: &[String], name: &str) -> Option<usize> {
    let same = |column: &String| normalized(column) == normalized(name);
    columns.iter().position(|column| column == name).or_else(|| columns.iter().position(same))
}
