//! The schedules against PyTorch's schedulers.
//!
//! The values are PyTorch 2.13's, of this function with the scheduler that each test names:
//!
//! ```python
//! def rates(make, n):
//!     optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
//!     scheduler, rates = make(optimizer), []
//!     for _ in range(n):
//!         rates.append(scheduler.get_last_lr()[0]); optimizer.step(); scheduler.step()
//!     return rates
//! ```

use super::*;

/// Eleven steps at 0.1, of an epoch each or, where epochs have more, of that many.
fn positions(steps_per_epoch: u64) -> impl Iterator<Item = Position> {
    (0..11).map(move |step| Position { step, steps: 11, steps_per_epoch, batch_size: 32 })
}

#[track_caller]
fn check(rates: impl IntoIterator<Item = f64>, expected: &[f64]) {
    let rates: Vec<f64> = rates.into_iter().take(expected.len()).collect();
    assert_eq!(rates.len(), expected.len());
    let near = rates.iter().zip(expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-12);
    assert!(near, "{rates:?}, expected {expected:?}");
}

#[track_caller]
fn check_schedule(schedule: &Schedule, steps_per_epoch: u64, expected: &[f64]) {
    check(positions(steps_per_epoch).map(|position| schedule.learning_rate(&position)), expected);
}

/// `OneCycleLR(o, max_lr=0.1, total_steps=11, pct_start=0.2, div_factor=25, final_div_factor=1e4)`
#[test]
fn one_cycle_is_pytorchs() {
    let schedule = Schedule::OneCycle { peak: 0.1, warmup: 0.2, start: 0.04, end: 4e-6 };
    check_schedule(&schedule, 1, &ONE_CYCLE);
}

const ONE_CYCLE: [f64; 11] = [
    0.0040000000000000036,
    0.09356921938165305,
    0.09797465678213016,
    0.09002710193796984,
    0.0770321327446164,
    0.06062842196459093,
    0.0428844865493034,
    0.026037846513794524,
    0.012212872432201975,
    0.0031529011399569207,
    4e-07,
];

/// `MultiStepLR(o, [2, 5], gamma=0.2)`
#[test]
fn step_is_pytorchs() {
    let step = |milestones: &[f64]| Schedule::Step {
        learning_rate: 0.1,
        milestones: milestones.to_vec(),
        factor: 0.2,
    };
    let expected = [0.1, 0.1, 0.02, 0.02, 0.02, 0.004, 0.004];
    check_schedule(&step(&[2.0, 5.0]), 1, &expected);
    check_schedule(&step(&[0.5, 1.25]), 4, &expected);
}

/// `StepLR(o, 3, gamma=0.94)` and `ExponentialLR(o, 0.94)`
#[test]
fn exponential_is_pytorchs() {
    let exponential =
        |every, form| Schedule::Exponential { learning_rate: 0.1, factor: 0.94, every, form };
    let staircase = [0.1, 0.1, 0.1, 0.094, 0.094, 0.094, 0.08836, 0.08836];
    for (every, steps_per_epoch) in [
        (Span::Epochs(3.0), 1),
        (Span::Epochs(0.3), 10),
        (Span::Steps(3), 7),
        (Span::Samples(96), 7),
    ] {
        check_schedule(&exponential(every, Form::Staircase), steps_per_epoch, &staircase);
    }
    let smooth = [0.1, 0.094, 0.08836, 0.08305839999999999, 0.07807489599999999];
    check_schedule(&exponential(Span::Epochs(1.0), Form::Smooth), 1, &smooth);
    check_schedule(&exponential(Span::Samples(32), Form::Smooth), 5, &smooth);
}

/// The paper's schedule for JFT, section 4.3: 0.001, times 0.9 every 3,000,000 images.
#[test]
fn samples_are_counted_exactly() {
    let every = Span::Samples(3_000_000);
    let jft =
        Schedule::Exponential { learning_rate: 1e-3, factor: 0.9, every, form: Form::Staircase };
    let rate = |step, batch_size| {
        jft.learning_rate(&Position { step, steps: 1_000_000, steps_per_epoch: 5_000, batch_size })
    };
    // 3,000,000 / 32 = 93,750
    for stretches in [1, 7, 10] {
        let before = 1e-3 * 0.9_f64.powi(stretches - 1);
        let step = 93_750 * stretches as u64;
        assert!((rate(step - 1, 32) - before).abs() < 1e-15);
        assert!((rate(step, 32) - 0.9 * before).abs() < 1e-15);
    }
    // 3,000,000 / 250 = 12,000
    assert_eq!((rate(11_999, 250), rate(12_000, 250)), (1e-3, 1e-3 * 0.9));
}

/// `CosineAnnealingLR(o, 10, eta_min=0.001)`
#[test]
fn cosine_is_pytorchs() {
    let expected = [
        0.1,
        0.09757729755661011,
        0.0905463412215599,
        0.07959536998847742,
        0.0657963412215599,
        0.0505,
        0.03520365877844011,
        0.02140463001152259,
        0.010453658778440109,
        0.0034227024433899004,
        0.001,
    ];
    check_schedule(&Schedule::Cosine { learning_rate: 0.1, end: 0.01 }, 3, &expected);
}

/// `LinearLR(o, 1.0, 0.05, 10)`
#[test]
fn linear_is_pytorchs() {
    let expected = [0.1, 0.0905, 0.081, 0.0715, 0.062, 0.0525, 0.043, 0.0335, 0.024, 0.0145, 0.005];
    check_schedule(&Schedule::Linear { learning_rate: 0.1, end: 0.05 }, 3, &expected);
}

/// `ChainedScheduler([LinearLR(o, 0.1, 1.0, 4), CosineAnnealingLR(o, 10)])`
#[test]
fn a_warm_up_multiplies_any_schedule() {
    let schedule = Schedule::Cosine { learning_rate: 0.1, end: 0.0 };
    let expected = [
        0.010000000000000002,
        0.031704668389796256,
        0.04974796734531106,
        0.061526678526333346,
        0.06545084971874739,
        0.05000000000000001,
        0.03454915028125264,
    ];
    for (length, steps_per_epoch) in [(Span::Steps(4), 3), (Span::Epochs(2.0), 2)] {
        let warmup = Warmup { length, start: 0.1 };
        let rate =
            |position: Position| schedule.learning_rate(&position) * warmup.factor(&position);
        check(positions(steps_per_epoch).map(rate), &expected);
    }
}

#[test]
fn a_run_of_one_step_has_a_rate() {
    let position = Position { step: 0, steps: 1, steps_per_epoch: 1, batch_size: 1 };
    let one_cycle = Schedule::OneCycle { peak: 0.1, warmup: 0.3, start: 0.04, end: 0.0 };
    assert!(one_cycle.learning_rate(&position).is_finite());
    for schedule in [
        Schedule::Cosine { learning_rate: 0.1, end: 0.0 },
        Schedule::Linear { learning_rate: 0.1, end: 0.0 },
    ] {
        assert_eq!(schedule.learning_rate(&position), 0.1);
    }
}

#[test]
fn numbers_out_of_range_are_named() {
    let problem = |peak, warmup| Schedule::OneCycle { peak, warmup, start: 0.1, end: 0.0 }.check();
    assert_eq!(problem(0.1, 0.3), Ok(()));
    assert_eq!(
        problem(-1.0, 0.3).unwrap_err().to_string(),
        "schedule.peak must be above 0, got -1"
    );
    assert_eq!(
        problem(f64::NAN, 0.3).unwrap_err().to_string(),
        "schedule.peak must be above 0, got NaN"
    );
    assert_eq!(
        problem(0.1, 30.0).unwrap_err().to_string(),
        "schedule.warmup must be between 0 and 1, got 30"
    );
    let cosine = |learning_rate, end| Schedule::Cosine { learning_rate, end }.check();
    assert_eq!(cosine(0.1, 0.0), Ok(()));
    assert_eq!(
        cosine(0.0, 0.0).unwrap_err().to_string(),
        "schedule.learning_rate must be above 0, got 0"
    );
    assert_eq!(
        cosine(0.1, 2.0).unwrap_err().to_string(),
        "schedule.end must be between 0 and 1, got 2"
    );
    let step = |milestones: &[f64]| {
        Schedule::Step { learning_rate: 0.1, milestones: milestones.to_vec(), factor: 0.1 }.check()
    };
    assert_eq!(step(&[1.0, 2.5]), Ok(()));
    for (milestones, shown) in
        [(vec![], "[]"), (vec![3.0, 2.0], "[3.0, 2.0]"), (vec![0.0, 2.0], "[0.0, 2.0]")]
    {
        let expected =
            format!("schedule.milestones must be epochs above 0 in ascending order, got {shown}");
        assert_eq!(step(&milestones).unwrap_err().to_string(), expected);
    }
    let exponential = |every| {
        let (learning_rate, factor, form) = (0.1, 0.9, Form::Smooth);
        Schedule::Exponential { learning_rate, factor, every, form }.check()
    };
    assert_eq!(exponential(Span::Samples(5)), Ok(()));
    let expected = "schedule.every.samples must be above 0, got 0";
    assert_eq!(exponential(Span::Samples(0)).unwrap_err().to_string(), expected);
    let warmup = |length, start| Warmup { length, start }.check();
    assert_eq!(warmup(Span::Steps(3), 0.0), Ok(()));
    assert_eq!(
        warmup(Span::Steps(3), 1.5).unwrap_err().to_string(),
        "warmup.start must be between 0 and 1, got 1.5"
    );
    let expected = "warmup.length.epochs must be above 0, got -1";
    assert_eq!(warmup(Span::Epochs(-1.0), 0.5).unwrap_err().to_string(), expected);
}
