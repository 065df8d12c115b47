//! Foreign state dicts: all that is wrong is said at once, under the original's names.

use std::collections::BTreeMap;

use tch::Tensor;
use xception::import::import;
use xception::weights::Tensors;

use crate::golden::{spec, state_dict};
use crate::golden_file::Golden;

/// The state dict of an original, changed by `change`, refused with `expected` in the message.
#[track_caller]
fn refused(network: &str, change: impl Fn(&mut Tensors), expected: &str) {
    let golden = Golden::open(network);
    let mut tensors = state_dict(&golden);
    change(&mut tensors);
    let error = import(&spec(&golden), &tensors, &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot import as preset '{network}': ")), "{error}");
    assert!(error.contains(expected), "{error}");
}

#[test]
fn every_problem_is_named_as_the_original_names_it() {
    let change = |tensors: &mut Tensors| {
        tensors.remove("exit_flow.linear.bias");
        tensors.insert("optimizer.step".into(), Tensor::from(1.0_f32));
        tensors.insert("entry_flow.boostrap.3.bias".into(), Tensor::from_slice(&[0.0_f32; 3]));
    };
    refused(
        "notebook-cifar10",
        change,
        "do not fit the model in 3 places\n  1 missing:\n    exit_flow.linear.bias\n  1 unexpected:\n    optimizer.step\n  1 of \
         another shape:\n    entry_flow.boostrap.3.bias: expected [64], got [3]",
    );
}

#[test]
fn copies_of_a_shared_block_must_agree() {
    let change = |tensors: &mut Tensors| {
        let name = "middle_flow.module_list.5.3.1.weight";
        let other = &tensors[name] + 1;
        tensors.insert(name.into(), other);
    };
    refused(
        "plain-shared",
        change,
        "1 unequal:\n    middle_flow.module_list.5.3.1.weight differs from middle_flow.module_list.0.3.1.weight, though both \
         are one tensor",
    );
}

/// `safetensors.torch.save_model` stores a shared tensor once and notes the other names in the metadata.
#[test]
fn a_file_that_holds_a_shared_block_once_is_understood() {
    let golden = Golden::open("plain-shared");
    let mut tensors = state_dict(&golden);
    let mut metadata = BTreeMap::new();
    for entry in golden.tensors.iter().filter(|entry| entry.alias_of.is_some()) {
        tensors.remove(&entry.name);
        metadata.insert(entry.name.clone(), entry.alias_of.clone().unwrap());
    }
    assert!(!metadata.is_empty());
    import(&spec(&golden), &tensors, &metadata).unwrap();
    let error = import(&spec(&golden), &tensors, &BTreeMap::new()).unwrap_err().to_string();
    assert!(
        error.contains("36 missing:"),
        "without the notes six of seven names are missing: {error}"
    );
}

#[test]
fn another_networks_state_dict_is_refused() {
    let golden = Golden::open("notebook-cifar10");
    let error =
        import(&spec(&Golden::open("dense-cifar100")), &state_dict(&golden), &BTreeMap::new())
            .unwrap_err();
    assert!(
        error.to_string().contains("missing:") && error.to_string().contains("unexpected:"),
        "{error}"
    );
}
