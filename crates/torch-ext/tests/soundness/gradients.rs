//! Gradients by closures that are called on their way.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tch::{Kind, Tensor};
use torch_ext::gradients;

use crate::{FLOAT, ones};

fn leaf() -> Tensor {
    ones(&[2]).set_requires_grad(true)
}

fn doubled(parameter: &Tensor) -> Tensor {
    (parameter * 2.0).sum(Kind::Float)
}

#[track_caller]
fn check(loss: &Tensor, parameters: &[&Tensor], expected: &str) {
    let error = gradients(loss, parameters, |_, _| {}).unwrap_err().to_string();
    assert!(error.contains(expected), "expected {expected:?}, got {error:?}");
}

/// Another pass may go through it meanwhile, and libtorch reads its hooks without a lock.
#[test]
fn a_tensor_in_the_middle_of_a_graph_is_refused() {
    let middle = &leaf() + 1.0;
    check(&doubled(&middle), &[&middle], "expected parameter 0 to be a leaf");
}

/// The closure may assume that it is not running already: it is `FnMut`, and holds what it changes.
#[test]
fn a_closure_is_not_entered_by_a_backward_pass_of_its_own() {
    let parameter = leaf();
    let mut other = Some((&parameter * 3.0).sum(Kind::Float));
    let mut text = vec!["a text that lies on the heap while the closure borrows it".to_string()];
    let mut calls = 0;
    let result = gradients(&doubled(&parameter), &[&parameter], |_, _| {
        calls += 1;
        match other.take() {
            Some(other) => {
                let borrowed: &str = &text[0];
                let before = borrowed.to_string();
                let refused = other.f_backward();
                assert_eq!(before, borrowed, "a borrowed text changed");
                refused.unwrap();
            }
            None => text.clear(),
        }
    });
    let error = result.unwrap_err().to_string();
    let expected = "expected one backward pass at a time through these parameters";
    assert!(error.contains(expected), "{error}");
    assert_eq!(calls, 1);
    // The next call finds no hook of the last one.
    assert_eq!(gradients(&doubled(&parameter), &[&parameter], |_, _| {}).unwrap().len(), 1);
}

#[test]
fn a_closure_is_not_entered_by_a_call_inside_it() {
    let parameter = leaf();
    let inner = Mutex::new(Some(doubled(&parameter)));
    let same = parameter.shallow_clone();
    let result = gradients(&doubled(&parameter), &[&parameter], move |_, _| {
        let inner = inner.lock().unwrap().take().expect("entered once");
        drop(gradients(&inner, &[&same], |_, _| {}).unwrap());
    });
    let error = result.unwrap_err().to_string();
    assert!(error.contains("expected one backward pass at a time"), "{error}");
}

/// A pass of other parameters inside the closure is nobody's business.
#[test]
fn a_closure_may_go_backward_elsewhere() {
    let (parameter, other) = (leaf(), leaf());
    let loss = Mutex::new(Some(doubled(&other)));
    let results = gradients(&doubled(&parameter), &[&parameter], |_, _| {
        loss.lock().unwrap().take().expect("entered once").backward();
    });
    assert_eq!(results.unwrap()[0].double_value(&[0]), 2.0);
    assert_eq!(other.grad().double_value(&[0]), 2.0);
}

/// Each thread has parameters of its own; closures run at the same time.
#[test]
fn threads_do_not_disturb_each_other() {
    let calls = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let parameter = leaf();
                for _ in 0..25 {
                    let count = |_: usize, _: &Tensor| {
                        calls.fetch_add(1, Ordering::Relaxed);
                    };
                    drop(gradients(&doubled(&parameter), &[&parameter], count).unwrap());
                }
            });
        }
    });
    assert_eq!(calls.into_inner(), 100);
}

/// libtorch changes the hooks of a tensor without a lock.
#[test]
fn threads_that_share_a_parameter_are_refused_while_another_runs() {
    let parameter = leaf();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let parameter = parameter.shallow_clone();
            scope.spawn(move || {
                for _ in 0..100 {
                    match gradients(&doubled(&parameter), &[&parameter, &parameter], |_, _| {}) {
                        Ok(results) => assert_eq!(results[1].double_value(&[1]), 2.0),
                        Err(error) => {
                            let error = error.to_string();
                            let expected = "expected one backward pass at a time";
                            assert!(error.contains(expected), "{error}");
                        }
                    }
                }
            });
        }
    });
    assert_eq!(gradients(&doubled(&parameter), &[&parameter], |_, _| {}).unwrap().len(), 1);
}

#[test]
fn an_undefined_parameter_is_refused() {
    let parameter = leaf();
    check(
        &doubled(&parameter),
        &[&parameter, &Tensor::new()],
        "expected parameter 1 to require gradients, got an undefined tensor",
    );
}

#[test]
fn a_parameter_without_gradients_is_refused() {
    let parameter = leaf();
    check(
        &doubled(&parameter),
        &[&ones(&[3])],
        "expected parameter 0 to require gradients, got Float [3] on cpu without them",
    );
}

#[test]
fn an_undefined_loss_is_refused() {
    check(&Tensor::new(), &[&leaf()], "expected a loss, got an undefined tensor");
}

#[test]
fn a_loss_without_gradients_is_refused() {
    check(&ones(&[]), &[&leaf()], "does not require grad");
}

#[test]
fn a_loss_of_several_numbers_is_refused() {
    let parameter = leaf();
    check(&(&parameter * 2.0), &[&parameter], "only for scalar outputs");
}

#[test]
fn no_parameter_is_refused() {
    check(&doubled(&leaf()), &[], "expected at least one parameter, got none");
}

#[test]
fn a_loss_that_was_freed_is_refused() {
    let parameter = leaf();
    let loss = (&parameter * &parameter).sum(Kind::Float);
    drop(gradients(&loss, &[&parameter], |_, _| {}).unwrap());
    check(&loss, &[&parameter], "backward through the graph a second time");
}

#[test]
fn a_closure_that_replaces_its_gradient_replaces_the_result_only() {
    let parameter = leaf();
    let results = gradients(&doubled(&parameter), &[&parameter], |_, gradient| {
        gradient.shallow_clone().set_data(&Tensor::zeros([0], FLOAT));
    });
    // Whoever takes the result on compares it again.
    assert_eq!(results.unwrap()[0].size(), [0]);
}
