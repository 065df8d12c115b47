//! The pass over a set, against the same figures counted one image at a time; and what is saved of it.

use std::sync::Arc;

use datasets::{
    Augmentation, Broken, LastBatch, LoaderConfig, Normalization, Order, Share, Split, synthetic,
};
use tch::{Device, Kind, nn::VarStore};
use xception::{CifarScale, ModelSpec, Preset, weights};

use super::*;
use crate::network::forward::Forward;

const IMAGES: usize = 70;

/// A network with random weights, on drawn shapes, in batches that do not divide the set.
fn untrained() -> (VarStore, Xception, Loader) {
    tch::manual_seed(3);
    let store = VarStore::new(Device::Cpu);
    let scale =
        CifarScale { width: 0.05, middle_modules: 0, stem_stride: 2, entry_strides: [2, 2, 1] };
    let spec = ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) };
    let model = Xception::new(store.root(), &spec.architecture().unwrap(), 10).unwrap();
    let test: Arc<dyn Source> = Arc::new(synthetic::images(Split::Test, IMAGES, 32, 0).unwrap());
    let config = LoaderConfig {
        batch_size: 16,
        share: Share::WHOLE,
        order: Order::Sequential,
        seed: 0,
        augmentation: Augmentation::default(),
        normalization: Normalization::HALF,
        last_batch: LastBatch::Keep,
        fit: None,
        broken: Broken::Refuse,
        prefetch: 0,
        workers: 1,
    };
    let loader = Loader::new(test, config).unwrap();
    (store, model, loader)
}

fn evaluated(model: &Xception, loader: &Loader) -> Evaluation {
    let after = |_| Ok::<_, Error>(());
    Evaluation::of(model, loader, Precision::Fp32, Views::One, Keep::Rows, after).unwrap()
}

#[test]
fn one_pass_counts_what_a_loop_over_images_counts() {
    let (_store, model, loader) = untrained();
    let evaluation = evaluated(&model, &loader);
    let mut forward = Forward::new(&model, Precision::Fp32, 16);
    let (mut wrong, mut sum) = (Vec::new(), 0.0);
    for batch in loader.epoch(0) {
        let batch = batch.unwrap();
        let probabilities =
            forward.logits(&batch.images, Views::One).unwrap().softmax(-1, Kind::Double);
        for (row, &index) in (0..).zip(&batch.indices) {
            let (best, class) = probabilities.get(row).max_dim(0, false);
            let (best, class) = (best.double_value(&[]), class.int64_value(&[]) as usize);
            let label = loader.images().label(index as usize) as usize;
            sum += best;
            if class != label {
                wrong.push((best, index, label, class));
            }
        }
    }
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
    assert!(wrong.len() > mistake::KEPT, "an untrained network that knows everything");
    assert_eq!(evaluation.mistakes.len(), mistake::KEPT);
    for (mistake, expected) in evaluation.mistakes.iter().zip(&wrong) {
        assert!((mistake.probability - expected.0).abs() < 1e-9);
        assert_eq!(
            (mistake.index, mistake.label, mistake.predicted),
            (expected.1, expected.2, expected.3)
        );
    }
    let bins = evaluation.calibration.bins();
    let (mut confident, mut right) = (0.0, 0.0);
    for bin in bins.iter().filter(|bin| bin.count > 0) {
        confident += bin.confidence.unwrap() * bin.count as f64;
        right += bin.accuracy.unwrap() * bin.count as f64;
    }
    assert!((confident - sum).abs() < 1e-9, "{confident} {sum}");
    assert_eq!(right.round() as usize, IMAGES - wrong.len());
    assert!((evaluation.top1 - right / IMAGES as f64).abs() < 1e-12);
}

#[test]
fn the_document_comes_back_as_it_was_saved() {
    let (store, model, loader) = untrained();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.safetensors");
    weights::write(&file, &weights::snapshot(&store), &Default::default()).unwrap();
    let mut evaluation = evaluated(&model, &loader);
    evaluation.loss = f64::NAN;
    let saved =
        Details::of(&evaluation, "synthetic", vec![7; 10], &loader, LeftOutNames::default(), &file)
            .unwrap();
    saved.save(folder.path()).unwrap();
    let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
    let read: Details = serde_json::from_str(&text).unwrap();
    assert!(read.loss.is_nan(), "a loss that was not finite is null in the file");
    assert!((read.ece - saved.ece).abs() < 1e-12 && (read.top5 - saved.top5).abs() < 1e-12);
    assert_eq!((read.images, &read.confusion), (saved.images, &saved.confusion));
    assert_eq!((&read.class_names, &read.first_layer), (&saved.class_names, &saved.first_layer));
    assert_eq!(read.classes[0].precision, None, "an untrained network that names every class");
    let place = |shown: &ShownMistake| (shown.mistake.index, shown.mistake.predicted);
    assert!(read.mistakes.iter().map(place).eq(saved.mistakes.iter().map(place)));
    assert!(read.is_consistent());
    assert!(read.mistakes[0].png.starts_with("iVBORw0KGgo"), "PNG in base64");
}

#[test]
fn a_document_whose_lists_do_not_fit_is_seen() {
    let (store, model, loader) = untrained();
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("last.safetensors");
    weights::write(&file, &weights::snapshot(&store), &Default::default()).unwrap();
    let details = Details::of(
        &evaluated(&model, &loader),
        "synthetic",
        Vec::new(),
        &loader,
        LeftOutNames::default(),
        &file,
    )
    .unwrap();
    for spoil in [
        |details: &mut Details| details.class_names.truncate(9),
        |details: &mut Details| details.confusion[3].truncate(9),
        |details: &mut Details| details.mistakes[0].mistake.predicted = 10,
    ] {
        let mut spoiled = details.clone();
        spoil(&mut spoiled);
        assert!(!spoiled.is_consistent());
    }
}

#[test]
fn programs_get_the_figures_and_each_class() {
    let evaluation = Evaluation {
        images: 6,
        top1: 0.5,
        top5: 1.0,
        loss: 1.0,
        confusion: vec![vec![3, 1, 0], vec![2, 0, 0], vec![0, 0, 0]],
        ..Evaluation::default()
    };
    assert_eq!(evaluation.per_class(), [Some(0.75), Some(0.0), None]);
    let names = ["ant", "bee", "cat"].map(String::from);
    let document = evaluation.to_json_by_class(&names);
    assert_eq!(document["top1"], 0.5);
    assert_eq!(document["ece"], 0.0);
    assert_eq!(
        document["classes"][1],
        json!({ "name": "bee", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 2 })
    );
    assert_eq!(document["classes"][2]["recall"], Value::Null);
}
