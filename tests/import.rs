//! Foreign state dicts: found wherever they lie in a file, and all that is wrong is said at once, under the original's names.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};
use xception::Preset;
use xception::import::{self, Imported, Note, Take};
use xception::weights::{Contents, Dictionary, Tensors};

use crate::golden::{contents, spec, state_dict};
use crate::golden_file::Golden;

fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, Device::Cpu))
}

/// A file with one dictionary.
fn file(tensors: Tensors) -> Contents {
    Contents::new(tensors, BTreeMap::new())
}

fn import(network: &str, contents: &Contents, take: &Take) -> Result<Imported, import::Error> {
    import::import(&spec(&Golden::open(network)), contents, take)
}

/// The state dict of an original, changed by `change`, refused with `expected` in the message.
#[track_caller]
fn refused(network: &str, change: impl Fn(&mut Tensors), expected: &str) {
    let mut tensors = state_dict(&Golden::open(network));
    change(&mut tensors);
    let error = import(network, &file(tensors), &Take::First).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot import as preset '{network}': ")), "{error}");
    assert!(error.contains(expected), "{error}");
}

#[test]
fn every_problem_is_named_as_the_original_names_it() {
    let change = |tensors: &mut Tensors| {
        tensors.remove("entry_flow.boostrap.1.weight");
        tensors.insert("entry_flow.boostrap.0.scale".into(), Tensor::from(1.0_f32));
        tensors.insert("entry_flow.boostrap.3.bias".into(), zeros(&[3]));
        tensors.insert("extra.conv.weight".into(), zeros(&[4, 4, 3, 3]));
    };
    refused(
        "notebook-cifar10",
        change,
        "do not fit the model in 4 places\n  1 missing:\n    entry_flow.boostrap.1.weight\n  2 unexpected:\n    \
         entry_flow.boostrap.0.scale\n    extra.conv.weight\n  1 of another shape:\n    entry_flow.boostrap.3.bias: \
         expected [64], got [3]",
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
    for prefix in ["", "model._orig_mod."] {
        let named = |name: &str| format!("{prefix}{name}");
        let mut tensors: Tensors =
            state_dict(&golden).into_iter().map(|(name, tensor)| (named(&name), tensor)).collect();
        let mut metadata = BTreeMap::new();
        for entry in golden.tensors.iter().filter(|entry| entry.alias_of.is_some()) {
            tensors.remove(&named(&entry.name));
            metadata.insert(named(&entry.name), named(entry.alias_of.as_ref().unwrap()));
        }
        assert!(!metadata.is_empty());
        let copy = |tensors: &Tensors| {
            tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
        };
        let whole = Contents::new(copy(&tensors), metadata);
        import("plain-shared", &whole, &Take::First).unwrap();
        let error = import("plain-shared", &file(tensors), &Take::First).unwrap_err().to_string();
        assert!(
            error.contains("36 missing:"),
            "without the notes six of seven names are missing: {error}"
        );
    }
}

#[test]
fn another_networks_state_dict_is_refused() {
    let golden = Golden::open("notebook-cifar10");
    let error = import("dense-cifar100", &contents(&golden), &Take::First).unwrap_err().to_string();
    assert!(error.contains("missing:") && error.contains("unexpected:"), "{error}");
}

/// The network whose files these tests change: it is small, and its names are the published ones' kind.
const NETWORK: &str = "notebook-cifar10";
const HEAD: &str = "exit_flow.linear";

thread_local! {
    /// The state dicts that were made, by what was added to them: each takes a while.
    static MADE: RefCell<BTreeMap<u64, Tensors>> = const { RefCell::new(BTreeMap::new()) };
}

/// The state dict with `prefix` before each name, and `shift` added to each number.
fn copy(prefix: &str, shift: f64) -> Tensors {
    let shifted = |(name, tensor): (String, Tensor)| (name, tensor + shift);
    let make = || state_dict(&Golden::open(NETWORK)).into_iter().map(shifted).collect();
    let named =
        |(name, tensor): (&String, &Tensor)| (format!("{prefix}{name}"), tensor.shallow_clone());
    MADE.with_borrow_mut(|made| {
        made.entry(shift.to_bits()).or_insert_with(make).iter().map(named).collect()
    })
}

/// The file `contents` is read as `expected` numbers; returns the notes.
#[track_caller]
fn is_read(contents: &Contents, take: &Take, expected: f64) -> Vec<String> {
    let imported = import(NETWORK, contents, take).unwrap();
    let reference = import(NETWORK, &file(copy("", expected)), &Take::First).unwrap();
    assert_eq!(imported.classes, Some(10));
    assert_eq!(imported.tensors.len(), reference.tensors.len());
    for (name, tensor) in &reference.tensors {
        assert_eq!(&imported.tensors[name], tensor, "{name}");
    }
    imported.notes.iter().map(ToString::to_string).collect()
}

#[test]
fn any_prefix_is_taken_off_and_said() {
    assert_eq!(is_read(&file(copy("", 0.0)), &Take::First, 0.0), [""; 0]);
    for prefix in
        ["module.", "model.", "_orig_mod.", "model._orig_mod.module.", "net.backbone.", "a.b-c.0."]
    {
        let notes = is_read(&file(copy(prefix, 0.0)), &Take::First, 0.0);
        assert_eq!(notes, [format!("the weights are at {}", prefix.trim_end_matches('.'))]);
    }
}

#[test]
fn tensors_of_other_parts_are_left_out_and_said() {
    let mut tensors = copy("model.", 0.0);
    tensors.insert("criterion.weight".into(), zeros(&[10]));
    tensors.insert("decoder.conv.weight".into(), zeros(&[4, 4, 3, 3]));
    tensors.insert("model.mean".into(), zeros(&[1, 3, 1, 1]));
    tensors.insert("model.entry_flow.boostrap.1.num_batches_tracked".into(), zeros(&[]));
    let notes = is_read(&file(tensors), &Take::First, 0.0);
    let expected =
        "not of the network and left out: model.mean, criterion.weight, decoder.conv.weight";
    assert_eq!(notes, ["the weights are at model", expected]);
}

/// A teacher, an average with names of its own and the memory of a loss are as wide as the features.
#[test]
fn tensors_beside_the_network_do_not_cost_it_its_head() {
    let mut tensors = copy("student.", 0.0);
    let features = tensors[&format!("student.{HEAD}.weight")].size()[1];
    for layer in 0..12 {
        tensors.insert(format!("teacher.layer{layer}.conv.weight"), zeros(&[4, 4, 3, 3]));
    }
    for (name, size) in [
        ("teacher.norm.weight", vec![features]),
        ("teacher.fc.weight", vec![1000, features]),
        ("teacher.fc.bias", vec![1000]),
        ("feature_bank", vec![features, 500]),
        ("center_loss.centers", vec![3, features]),
        ("model_ema.exit_flow1bias", vec![features]),
    ] {
        tensors.insert(name.into(), zeros(&size));
    }
    let notes = is_read(&file(tensors), &Take::First, 0.0);
    assert_eq!(notes[0], "the weights are at student");
    assert!(notes[1].starts_with("not of the network and left out: "), "{notes:?}");
    // A norm before the head is another thing.
    let mut tensors = copy("model.backbone.", 0.0);
    tensors.insert("model.norm.weight".into(), zeros(&[features]));
    let imported = import(NETWORK, &file(tensors), &Take::First).unwrap();
    assert_eq!(imported.classes, None);
}

/// Dictionaries at places, in the order of the file.
fn checkpoint(dictionaries: Vec<(&str, Tensors)>) -> Contents {
    let mut contents = Contents::default();
    contents.dictionaries = dictionaries
        .into_iter()
        .map(|(place, tensors)| {
            let mut dictionary = Dictionary::default();
            dictionary.place = place.to_string();
            dictionary.tensors = tensors;
            dictionary
        })
        .collect();
    contents
}

#[test]
fn the_weights_are_taken_before_their_average() {
    let accuracy = || Tensors::from([("best_acc1".to_string(), Tensor::from(93.5_f32))]);
    let named = |name: &str| Take::Named(name.to_string());
    for (plain, average, prefix) in [
        ("state_dict", "state_dict_ema", ""),
        ("model", "model_ema", "module."),
        ("net", "swa", ""),
        ("state_dict", "ema.shadow", ""),
        ("model", "netEMA", ""),
        ("model", "ema2", "module."),
    ] {
        for average_first in [false, true] {
            let mut all =
                vec![("", accuracy()), (plain, copy("module.", 0.0)), (average, copy(prefix, 1.0))];
            if average_first {
                all.reverse();
            }
            let file = checkpoint(all);
            let label = format!("{average}.{prefix}");
            let label = label.trim_end_matches('.');
            for take in [Take::First, Take::Plain, named(plain), named(&format!("{plain}.module"))]
            {
                let notes = is_read(&file, &take, 0.0);
                let said = format!("{plain}.module is taken, --take names another of {label}");
                assert!(notes[0].ends_with(&said), "{notes:?}");
            }
            for take in [Take::Average, named(average), named(label)] {
                let notes = is_read(&file, &take, 1.0);
                assert!(notes[0].contains(&format!("{label} is taken")), "{notes:?}");
            }
        }
    }
    // In one dictionary, by their prefixes.
    let mut both = copy("model.", 0.0);
    both.extend(copy("ema_model.module.", 1.0));
    let both = file(both);
    is_read(&both, &Take::First, 0.0);
    is_read(&both, &Take::Average, 1.0);
    // Alone.
    let alone = checkpoint(vec![("model_ema", copy("module.", 1.0))]);
    let notes = is_read(&alone, &Take::First, 1.0);
    assert_eq!(notes, ["the weights are at model_ema.module"]);
    let error = import(NETWORK, &alone, &Take::Plain).unwrap_err().to_string();
    assert_eq!(error, "the file has no weights called plain; it has model_ema.module");
    let error = import(NETWORK, &both, &named("best")).unwrap_err().to_string();
    assert_eq!(error, "the file has no weights called best; it has ema_model.module, model");
}

#[test]
fn of_two_networks_one_must_be_named() {
    let two = checkpoint(vec![("student", copy("", 0.0)), ("best", copy("", 1.0))]);
    let error = import(NETWORK, &two, &Take::First).unwrap_err().to_string();
    let expected = "the file has the network more than once, with different weights: student, best; take one with --take";
    assert_eq!(error, expected);
    is_read(&two, &Take::Named("best".into()), 1.0);
    // The same weights at two places are no choice.
    let same = checkpoint(vec![("model", copy("", 2.0)), ("state_dict", copy("", 2.0))]);
    is_read(&same, &Take::First, 2.0);
}

/// The state dict without its head, and the head's weight and bias.
fn headless() -> (Tensors, [Tensor; 2]) {
    let mut tensors = copy("", 0.0);
    let head = ["weight", "bias"].map(|leaf| tensors.remove(&format!("{HEAD}.{leaf}")).unwrap());
    (tensors, head)
}

#[test]
fn a_head_of_any_name_is_found() {
    for name in ["fc", "last_linear", "classifier", "head.fc", "fc.1", "predictions", "_fc.0.lin"] {
        let (mut tensors, [weight, bias]) = headless();
        tensors.insert(format!("{name}.weight"), weight);
        tensors.insert(format!("{name}.bias"), bias);
        let notes = is_read(&file(tensors), &Take::First, 0.0);
        assert_eq!(notes, [format!("{name} is taken for the head")]);
    }
    // Beside a backbone with a prefix.
    let (tensors, [weight, bias]) = headless();
    let mut tensors: Tensors = tensors
        .into_iter()
        .map(|(name, tensor)| (format!("net.backbone.{name}"), tensor))
        .collect();
    tensors.insert("net.fc.weight".to_string(), weight);
    tensors.insert("net.fc.bias".to_string(), bias);
    let notes = is_read(&file(tensors), &Take::First, 0.0);
    assert_eq!(notes, ["the weights are at net.backbone", "net.fc is taken for the head"]);
}

#[test]
fn heads_of_other_classes_are_read_with_their_number() {
    let (mut tensors, _) = headless();
    tensors.insert(format!("{HEAD}.weight"), zeros(&[3, 2048]));
    let imported = import(NETWORK, &file(tensors), &Take::First).unwrap();
    assert_eq!((imported.classes, &imported.notes[..]), (Some(3), &[Note::NoBias][..]));
    assert_eq!(imported.tensors["fc.bias"], zeros(&[3]));
}

#[test]
fn heads_that_cannot_be_carried_over_are_named() {
    let check = |head: &[(&str, &[i64])], expected: &str| {
        let (mut tensors, _) = headless();
        tensors.extend(head.iter().map(|(name, shape)| (name.to_string(), zeros(shape))));
        let imported = import(NETWORK, &file(tensors), &Take::First).unwrap();
        assert_eq!(imported.classes, None);
        assert!(!imported.tensors.keys().any(|name| name.starts_with("fc.")));
        let notes: Vec<String> = imported.notes.iter().map(ToString::to_string).collect();
        assert!(notes[0].contains(expected), "{notes:?}");
        assert_eq!(notes.len(), 1, "{notes:?}");
    };
    check(&[], "the file has no head");
    check(
        &[("fc.0.weight", &[100, 2048]), ("fc.0.bias", &[100]), ("fc.3.weight", &[6, 100])],
        "it has a hidden layer (fc.0 from 2048 to 100, fc.3 from 100 to 6)",
    );
    check(
        &[("exit_flow.linear.weight", &[100, 2048]), ("out.weight", &[6, 100])],
        "it has a hidden layer",
    );
    check(
        &[("a.weight", &[4, 2048]), ("b.weight", &[6, 2048])],
        "several layers may be it (a from 2048 to 4, b from 2048 to 6)",
    );
    check(
        &[("fc.0.weight", &[2048]), ("fc.0.running_mean", &[2048]), ("fc.1.weight", &[4, 2048])],
        "it is more than the linear layer fc.1: it has fc.0.running_mean too",
    );
    check(
        &[("exit_flow.linear.weight", &[10, 2048]), ("second.weight", &[3, 2048])],
        "several layers may be it",
    );
    check(&[("fc.weight", &[4, 4096])], "no linear layer takes the 2048 features");
    for weight in ["fc.weight_v", "fc.parametrizations.weight.original1"] {
        check(&[(weight, &[4, 2048])], &format!("its weight is computed from {weight}"));
    }
    check(&[("prototypes", &[4, 2048])], "prototypes of shape [4, 2048] takes the features");
}

/// A norm, a convolution or an adapter beside the head changes its input.
#[test]
fn layers_beside_the_head_are_seen() {
    let check = |prefix: &str, beside: (&str, &[i64]), expected: &str| {
        let (tensors, [weight, bias]) = headless();
        let mut tensors: Tensors =
            tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect();
        tensors.insert("head.weight".into(), weight);
        tensors.insert("head.bias".into(), bias);
        tensors.insert(beside.0.into(), zeros(beside.1));
        let imported = import(NETWORK, &file(tensors), &Take::First).unwrap();
        let notes: Vec<String> = imported.notes.iter().map(ToString::to_string).collect();
        assert_eq!(imported.classes, None, "{notes:?}");
        assert!(notes.iter().any(|note| note.contains(expected)), "{notes:?}");
    };
    check("", ("norm.weight", &[2048]), "norm.weight of shape [2048] changes its input");
    for (name, shape) in [
        ("neck.running_mean", &[2048][..]),
        ("attention.weight", &[2048, 2048, 1, 1]),
        ("input_norm.running_mean", &[3]),
    ] {
        check("backbone.", (name, shape), &format!("{name} of shape"));
    }
    check("backbone.", ("head.lora_A", &[4, 9]), "head has more than a weight and a bias");
    let (mut tensors, [weight, _]) = headless();
    tensors.insert("loss_fn.weight".into(), weight);
    assert_eq!(import(NETWORK, &file(tensors), &Take::First).unwrap().classes, None);
}

/// Each copy has its own head beside it.
#[test]
fn the_head_of_the_copy_that_is_taken_is_its_own() {
    let mut all = Tensors::new();
    for (copy, shift) in [("model.", 0.0), ("ema_model.", 1.0)] {
        for (name, tensor) in self::copy("", shift) {
            let name = match name.strip_prefix(&format!("{HEAD}.")) {
                Some(leaf) => format!("{copy}fc.{leaf}"),
                None => format!("{copy}net.{name}"),
            };
            all.insert(name, tensor);
        }
    }
    let all = file(all);
    for (take, shift) in [(Take::First, 0.0), (Take::Average, 1.0)] {
        let notes = is_read(&all, &take, shift);
        assert!(!notes.iter().any(|note| note.contains("left out")), "{notes:?}");
    }
}

#[test]
fn a_network_is_known_by_its_names() {
    for (network, expected) in [
        (NETWORK, &[Preset::NotebookCifar10][..]),
        ("dense-cifar100", &[Preset::DenseCifar100, Preset::DenseCifar100First]),
        ("xception41", &[Preset::Xception41]),
        ("xception-keras", &[Preset::XceptionKeras]),
        ("xception", &[Preset::Xception]),
    ] {
        let found = import::presets(&contents(&Golden::open(network)), &Take::First);
        assert_eq!(found, expected, "{network}");
    }
    assert_eq!(import::presets(&file(Tensors::new()), &Take::First), []);
    assert_eq!(import::nearest(&file(Tensors::new())), None);
    let (mut tensors, _) = headless();
    let lost = tensors.keys().next().unwrap().clone();
    tensors.remove(&lost);
    let contents = file(tensors);
    assert_eq!(import::presets(&contents, &Take::First), []);
    let nearest = import::nearest(&contents).unwrap();
    assert_eq!((nearest.preset, nearest.of - nearest.found), (Preset::NotebookCifar10, 1));
}
