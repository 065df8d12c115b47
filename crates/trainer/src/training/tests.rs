//! A loss that is not finite is handled as the recipe says, and the run continues from there.

use std::sync::Arc;

use datasets::{Split, synthetic};
use tch::Tensor;
use tempfile::TempDir;

use super::run_plan::{RunPlan, Start};
use super::*;
use crate::data::Data;
use crate::exit_code::ExitCode;
use crate::recipe::Request;

/// The smallest network on some images, in batches of 16.
fn recipe(non_finite: &str) -> Recipe {
    let set = [
        &format!("non_finite={non_finite}"),
        "model.scale={ width = 0.05, middle_modules = 0, stem_stride = 2, entry_strides = [2, 2, 1] }",
        "batch_size=16",
        "epochs=1",
        "average={ name = 'ema', decay = 0.9, every = 1, warmup = 'ramp' }",
        "checkpoints.every_minutes=1000",
    ];
    let set = set.map(str::to_string).to_vec();
    Recipe::resolve(&Request { set, ..Request::default() }).unwrap()
}

fn data() -> Data {
    let images = |split, count| Arc::new(synthetic::images(split, count, 32, 0).unwrap());
    Data {
        name: "synthetic".to_string(),
        kind: "synthetic",
        origin: String::new(),
        train: images(Split::Train, 96),
        validation: None,
        test: images(Split::Test, 20),
        held: false,
        skipped: Vec::new(),
        stands_in: false,
    }
}

fn with_run(non_finite: &str, body: impl FnOnce(&mut Training, Vec<Batch>)) {
    let place = TempDir::new().unwrap();
    let folder = RunFolder::create(Some(place.path()), "any").unwrap();
    let start = Start::New { weights: None };
    let plan = RunPlan { recipe: recipe(non_finite), data: data(), folder, start };
    let stop = StopRequest::listen().unwrap();
    let mut training = Training::new(&plan, stop, World::single()).unwrap();
    let batches = training.sets.train.epoch(1).collect::<Result<_, _>>().unwrap();
    body(&mut training, batches);
}

fn numbers_are_finite(training: &Training) -> bool {
    let finite = |variable: &Tensor| variable.isfinite().all().int64_value(&[]) == 1;
    training.model.store.variables().values().all(finite)
}

/// Makes the next loss NaN.
fn poison(training: &Training) {
    let mut weight = training.model.store.variables()["bn1.weight"].detach();
    drop(weight.fill_(f64::NAN));
}

fn heal(training: &Training) {
    let mut weight = training.model.store.variables()["bn1.weight"].detach();
    drop(weight.fill_(1.0));
}

#[test]
fn a_run_stops_before_the_update_and_names_the_images() {
    with_run("{ action = 'stop' }", |training, batches| {
        training.step(&batches[0]).unwrap();
        poison(training);
        let error = training.step(&batches[1]).unwrap_err();
        let error = training.recover(error, &batches[1]).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::NonFinite);
        let images: Vec<String> = batches[1].indices.iter().map(u32::to_string).collect();
        let expected = format!(
            "the loss became NaN in epoch 1, step 2, at learning rate 1.600e-4, on the training images {}; there is no \
             checkpoint yet; try a lower",
            images.join(", ")
        );
        let rate = format!("{:.3e}", training.course.next_step().learning_rate);
        let expected = expected.replace("1.600e-4", &rate);
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert_eq!(training.course.state.step, 1);
    });
}

#[test]
fn a_skipped_batch_leaves_no_trace() {
    with_run("{ action = 'skip', limit = 1 }", |training, batches| {
        training.step(&batches[0]).unwrap();
        poison(training);
        let error = training.step(&batches[1]).unwrap_err();
        assert_eq!(training.recover(error, &batches[1]).unwrap(), Recovery::Skip);
        assert_eq!((training.course.state.step, &training.course.state.skipped), (2, &vec![2]));
        heal(training);
        assert!(numbers_are_finite(training), "the running statistics have seen it");
        training.step(&batches[2]).unwrap();
        assert_eq!(training.course.state.epoch.images, 32);
        poison(training);
        let error = training.step(&batches[3]).unwrap_err();
        assert_eq!(
            training.recover(error, &batches[3]).unwrap_err().exit_code(),
            ExitCode::NonFinite,
            "once was the limit"
        );
    });
}

#[test]
fn a_run_that_rolls_back_skips_the_steps_that_led_there() {
    with_run("{ action = 'roll-back', limit = 1, leave_out = 2 }", |training, batches| {
        training.save_to_roll_back_to().unwrap();
        training.step(&batches[0]).unwrap();
        training.save().unwrap();
        let saved = xception::weights::snapshot(&training.model.store);
        training.step(&batches[1]).unwrap();
        training.step(&batches[2]).unwrap();
        poison(training);
        let error = training.step(&batches[3]).unwrap_err();
        let recovery = training.recover(error, &batches[3]).unwrap();
        assert_eq!(recovery, Recovery::RollBack { leave_out: 2 });
        assert_eq!((training.course.state.step, &training.course.state.skipped), (1, &vec![3, 4]));
        let now = xception::weights::snapshot(&training.model.store);
        assert!(saved.iter().all(|(name, tensor)| tensor.equal(&now[name])));

        // The same steps again, without the two.
        for batch in &batches[1..4] {
            training.step(batch).unwrap();
        }
        assert_eq!((training.course.state.step, training.course.state.epoch.images), (4, 32));
        poison(training);
        let error = training.step(&batches[4]).unwrap_err();
        let error = training.recover(error, &batches[4]).unwrap_err();
        assert!(error.to_string().contains("the newest checkpoint is"), "{error}");
    });
}
