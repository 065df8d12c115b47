//! Cases with the values of scikit-learn and SciPy; `golden/make.py` writes them.

use serde_json::Value;

/// The cases of one kind.
pub(super) fn cases(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("golden/scikit-learn.json")).unwrap();
    all[kind].as_array().unwrap().clone()
}
