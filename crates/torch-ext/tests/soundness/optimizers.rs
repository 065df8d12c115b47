//! Steps of optimizers over lists that do not fit together: every tensor is compared before the first number is written.

use tch::{Device, Kind, Tensor};
use torch_ext::{
    AdamMemory, AdamStep, LearningRate, RmsPropMemory, RmsPropStep, SgdMemory, SgdStep,
    WeightDecay, fused_adam, fused_sgd, rms_prop,
};

use crate::{FLOAT, ones, refusal};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Optimizer {
    Adam,
    AdamW,
    Sgd,
    RmsProp,
}

const ALL: [Optimizer; 4] = [Optimizer::Adam, Optimizer::AdamW, Optimizer::Sgd, Optimizer::RmsProp];
const ADAM: AdamStep = AdamStep {
    beta1: 0.9,
    beta2: 0.99,
    eps: 1e-8,
    weight_decay: 0.1,
    decay: WeightDecay::Decoupled,
};
const SGD: SgdStep = SgdStep { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
const RMS_PROP: RmsPropStep = RmsPropStep { rho: 0.9, momentum: 0.9, weight_decay: 0.0, eps: 1e-3 };

/// The tensors of a step: two parameters, and one or two states for each.
struct Lists {
    parameters: Vec<Tensor>,
    gradients: Vec<Tensor>,
    states: [Vec<Tensor>; 2],
    steps: Tensor,
}

impl Lists {
    fn new() -> Self {
        let list = || vec![ones(&[5]), ones(&[4, 3])];
        let states = [list(), list()];
        let steps = Tensor::zeros([], FLOAT);
        Self { parameters: list(), gradients: list(), states, steps }
    }

    fn run(&mut self, optimizer: Optimizer, rate: LearningRate) -> Result<(), String> {
        let Self { parameters, gradients, states, steps } = self;
        let [first, second] = states.each_ref();
        let copy = |list: &[Tensor]| list.iter().map(Tensor::shallow_clone).collect();
        let (first, second): (Vec<Tensor>, Vec<Tensor>) = (copy(first), copy(second));
        match optimizer {
            Optimizer::Adam | Optimizer::AdamW => {
                let decay = if optimizer == Optimizer::Adam {
                    WeightDecay::InGradient
                } else {
                    WeightDecay::Decoupled
                };
                let steps = steps.shallow_clone();
                let mut memory = AdamMemory { means: first, variances: second, steps };
                fused_adam(parameters, gradients, &mut memory, AdamStep { decay, ..ADAM }, rate)
            }
            Optimizer::Sgd => {
                fused_sgd(parameters, gradients, &mut SgdMemory { velocities: first }, SGD, rate)
            }
            Optimizer::RmsProp => {
                let mut memory = RmsPropMemory { mean_squares: first, velocities: second };
                rms_prop(parameters, gradients, &mut memory, RMS_PROP, rate)
            }
        }
        .map_err(|error| error.to_string())
    }
}

/// Every optimizer of `optimizers` refuses the lists that `change` makes, and writes nothing.
#[track_caller]
fn check_with(optimizers: &[Optimizer], change: impl Fn(&mut Lists), expected: &str) {
    for &optimizer in optimizers {
        let mut lists = Lists::new();
        let kept: Vec<Tensor> = lists.parameters.iter().map(Tensor::shallow_clone).collect();
        change(&mut lists);
        let error = lists.run(optimizer, 1.0.into()).expect_err("expected a refusal");
        assert!(error.contains(expected), "{optimizer:?}: expected {expected:?}, got {error:?}");
        let untouched = kept.iter().all(|tensor| tensor.equal(&tensor.ones_like()));
        assert!(untouched, "{optimizer:?}: a refused step moved a parameter");
        if lists.steps.defined() && lists.steps.numel() == 1 {
            assert_eq!(lists.steps.double_value(&[]), 0.0, "a refused step counted");
        }
    }
}

#[track_caller]
fn check(change: impl Fn(&mut Lists), expected: &str) {
    check_with(&ALL, change, expected);
}

#[test]
fn lists_that_fit_are_stepped() {
    for optimizer in ALL {
        let mut lists = Lists::new();
        lists.parameters = lists.parameters.iter().map(|p| p.set_requires_grad(true)).collect();
        lists.run(optimizer, 0.5.into()).unwrap();
        assert!(lists.parameters[1].double_value(&[3, 2]) < 1.0, "{optimizer:?}");
    }
}

#[test]
fn empty_parameters_are_stepped() {
    for optimizer in ALL {
        let mut lists = Lists::new();
        for list in
            [&mut lists.parameters, &mut lists.gradients].into_iter().chain(lists.states.iter_mut())
        {
            list[0] = ones(&[0, 7]);
        }
        lists.run(optimizer, 0.5.into()).unwrap();
    }
}

/// Convolutions' gradients are channels-last, and complex numbers' negated when they are read.
#[test]
fn gradients_of_another_layout_are_read_by_their_values() {
    for optimizer in ALL {
        let gradient = Tensor::arange(12, FLOAT).view([3, 4]).tr();
        let negated = Tensor::complex(&gradient.zeros_like(), &-&gradient).conj().imag();
        assert!(negated.is_neg() && negated.equal(&gradient));
        let moved: Vec<Tensor> = [gradient.contiguous(), gradient, negated]
            .into_iter()
            .map(|gradient| {
                let mut lists = Lists::new();
                lists.gradients[1] = gradient;
                lists.run(optimizer, 0.5.into()).unwrap();
                lists.parameters.remove(1)
            })
            .collect();
        assert!(moved[0].equal(&moved[1]) && moved[0].equal(&moved[2]), "{optimizer:?}");
    }
}

mod parameter {
    use super::*;

    #[track_caller]
    fn check_replaced(parameter: impl Fn() -> Tensor, expected: &str) {
        check(|lists| lists.parameters[1] = parameter(), expected);
    }

    #[test]
    fn undefined() {
        check_replaced(
            Tensor::new,
            "expected parameter 1 of floating-point numbers in memory, got an undefined tensor",
        );
    }

    #[test]
    fn of_integers() {
        check_replaced(
            || Tensor::ones([4, 3], (Kind::Int64, Device::Cpu)),
            "expected parameter 1 of floating-point numbers in memory, got Long [4, 3] on cpu",
        );
    }

    #[test]
    fn of_complex_numbers() {
        check_replaced(
            || Tensor::ones([4, 3], (Kind::ComplexFloat, Device::Cpu)),
            "expected parameter 1 of floating-point numbers in memory, got ComplexFloat [4, 3]",
        );
    }

    #[test]
    fn of_booleans() {
        check_replaced(|| Tensor::ones([4, 3], (Kind::Bool, Device::Cpu)), "got Bool [4, 3]");
    }

    #[test]
    fn sparse() {
        check_replaced(
            || ones(&[4, 3]).to_sparse(None, None::<i64>, None),
            "got Float [4, 3] on cpu in the layout Sparse",
        );
    }

    #[test]
    fn in_the_layout_of_onednn() {
        check_replaced(
            || ones(&[4, 3]).to_mkldnn(),
            "got Float [4, 3] on cpu in the layout Mkldnn",
        );
    }

    #[test]
    fn expanded() {
        check_replaced(
            || ones(&[1]).expand([4, 3], false),
            "expected parameter 1 without gaps or repetition in memory, got Float [4, 3] with strides [0, 0]",
        );
    }

    #[test]
    fn with_gaps() {
        check_replaced(
            || ones(&[4, 6]).slice(1, 0, None, 2),
            "expected parameter 1 without gaps or repetition in memory, got Float [4, 3] with strides [6, 2]",
        );
    }

    #[test]
    fn with_overlapping_windows() {
        check_replaced(|| ones(&[6]).unfold(0, 3, 1), "with strides [1, 1]");
    }

    #[test]
    fn negated_when_it_is_read() {
        check_replaced(
            || Tensor::complex(&ones(&[4, 3]), &ones(&[4, 3])).conj().imag(),
            "a view that is negated when it is read",
        );
    }

    #[test]
    fn without_memory() {
        check_replaced(
            || Tensor::internal_efficientzerotensor([4, 3], FLOAT),
            "expected parameter 1 of floating-point numbers in memory",
        );
    }

    #[test]
    fn listed_twice() {
        check(
            |lists| {
                let first = lists.parameters[0].shallow_clone();
                lists.parameters[1] = first;
                lists.gradients[1] = ones(&[5]);
                lists.states.iter_mut().for_each(|states| states[1] = ones(&[5]));
            },
            "expected memory of its own for each tensor that is written, got parameter 0 and parameter 1 in the same",
        );
    }

    #[test]
    fn that_overlaps_another() {
        check(
            |lists| {
                let both = ones(&[16]);
                lists.parameters = vec![both.narrow(0, 0, 5), both.narrow(0, 4, 12).view([4, 3])];
            },
            "got parameter 0 and parameter 1 in the same",
        );
    }
}

#[test]
fn parameters_that_share_a_tensor_without_overlap_are_stepped() {
    for optimizer in ALL {
        let mut lists = Lists::new();
        let both = ones(&[17]);
        lists.parameters = vec![both.narrow(0, 0, 5), both.narrow(0, 5, 12).view([4, 3])];
        lists.run(optimizer, 0.5.into()).unwrap();
        assert_eq!(both.less(1.0).sum(Kind::Int64).int64_value(&[]), 17, "{optimizer:?}");
    }
}

mod gradient {
    use super::*;

    #[track_caller]
    fn check_replaced(gradient: impl Fn() -> Tensor, expected: &str) {
        check(|lists| lists.gradients[1] = gradient(), expected);
    }

    const EXPECTED: &str =
        "expected gradient 1 to be Float [4, 3] on cpu as its parameter is, got ";

    #[test]
    fn undefined() {
        check_replaced(Tensor::new, "parameter 1 has no gradient");
    }

    #[test]
    fn missing() {
        check(|lists| drop(lists.gradients.pop()), "2 parameters, 1 gradients");
    }

    #[test]
    fn too_many() {
        check(|lists| lists.gradients.push(ones(&[4, 3])), "2 parameters, 3 gradients");
    }

    #[test]
    fn shorter() {
        check_replaced(|| ones(&[1]), &format!("{EXPECTED}Float [1] on cpu"));
    }

    #[test]
    fn longer() {
        check_replaced(|| ones(&[4, 300]), &format!("{EXPECTED}Float [4, 300] on cpu"));
    }

    #[test]
    fn empty() {
        check_replaced(|| ones(&[0]), &format!("{EXPECTED}Float [0] on cpu"));
    }

    #[test]
    fn of_as_many_numbers_in_another_shape() {
        check_replaced(|| ones(&[3, 4]), &format!("{EXPECTED}Float [3, 4] on cpu"));
        check_replaced(|| ones(&[4, 3, 1]), &format!("{EXPECTED}Float [4, 3, 1] on cpu"));
    }

    #[test]
    fn of_another_kind() {
        for (kind, name) in [
            (Kind::BFloat16, "BFloat16"),
            (Kind::Half, "Half"),
            (Kind::Double, "Double"),
            (Kind::Int64, "Long"),
            (Kind::ComplexFloat, "ComplexFloat"),
        ] {
            let gradient = || Tensor::ones([4, 3], (kind, Device::Cpu));
            check_replaced(gradient, &format!("{EXPECTED}{name} [4, 3] on cpu"));
        }
    }

    #[test]
    fn sparse() {
        check_replaced(|| ones(&[4, 3]).to_sparse(None, None::<i64>, None), "in the layout Sparse");
    }

    #[test]
    fn in_the_memory_of_its_parameter() {
        let expected = "got parameter 1 and gradient 1 in the same";
        for optimizer in ALL {
            let mut lists = Lists::new();
            lists.gradients[1] = lists.parameters[1].shallow_clone();
            let error = lists.run(optimizer, 1.0.into()).unwrap_err();
            assert!(error.contains(expected) || error.contains("got gradient 1 and parameter 1"));
        }
    }

    #[test]
    fn of_16_million_parameters_in_one_number() {
        for optimizer in ALL {
            let mut lists = Lists::new();
            let long = || vec![Tensor::zeros([1 << 24], FLOAT)];
            lists.parameters = long();
            lists.states = [long(), long()];
            lists.gradients = vec![ones(&[1])];
            let error = lists.run(optimizer, 1.0.into()).unwrap_err();
            assert!(error.contains("got Float [1] on cpu"), "{error}");
        }
    }
}

mod state {
    use super::*;

    const TWO: [Optimizer; 3] = [Optimizer::Adam, Optimizer::AdamW, Optimizer::RmsProp];

    /// Either state is replaced by `state`.
    #[track_caller]
    fn check_replaced(state: impl Fn() -> Tensor, expected: &str) {
        check(|lists| lists.states[0][1] = state(), expected);
        check_with(&TWO, |lists| lists.states[1][1] = state(), expected);
    }

    #[test]
    fn undefined() {
        check_replaced(Tensor::new, "as its parameter is, got an undefined tensor");
    }

    #[test]
    fn missing() {
        check(|lists| drop(lists.states[0].pop()), "the memory of 1 do not pair up");
        check_with(&TWO, |lists| lists.states[1].clear(), "the memory of 0 do not pair up");
    }

    #[test]
    fn shorter() {
        check_replaced(
            || ones(&[1]),
            "to be Float [4, 3] on cpu as its parameter is, got Float [1]",
        );
        check_replaced(|| ones(&[0]), "as its parameter is, got Float [0]");
        check_replaced(|| ones(&[4, 2]), "as its parameter is, got Float [4, 2]");
    }

    #[test]
    fn of_another_kind() {
        let double = || Tensor::ones([4, 3], (Kind::Double, Device::Cpu));
        check_replaced(double, "got Double [4, 3]");
        let half = || Tensor::ones([4, 3], (Kind::BFloat16, Device::Cpu));
        check_replaced(half, "got BFloat16 [4, 3]");
    }

    #[test]
    fn of_another_layout() {
        check_replaced(
            || ones(&[3, 4]).tr(),
            "to be Float [4, 3] with strides [3, 1] on cpu as its parameter is, got Float [4, 3] with strides [1, 4]",
        );
    }

    #[test]
    fn expanded() {
        check_replaced(|| ones(&[1]).expand([4, 3], false), "with strides [0, 0]");
    }

    #[test]
    fn in_the_memory_of_a_parameter() {
        check(
            |lists| lists.states[0][0] = lists.parameters[0].shallow_clone(),
            "expected memory of its own for each tensor that is written",
        );
    }

    #[test]
    fn in_the_memory_of_the_other() {
        check_with(
            &TWO,
            |lists| lists.states[1][0] = lists.states[0][0].shallow_clone(),
            "expected memory of its own for each tensor that is written",
        );
    }

    /// A row of one has no stride to speak of.
    #[test]
    fn with_another_stride_of_a_single_row_is_stepped() {
        for optimizer in ALL {
            let mut lists = Lists::new();
            let [single, other] = [[12, 1, 1], [12, 12, 1]]
                .map(|strides| Tensor::ones([12], FLOAT).as_strided([1, 1, 12], strides, None));
            lists.parameters[1] = single;
            lists.gradients[1] = ones(&[1, 1, 12]);
            lists.states.iter_mut().for_each(|states| states[1] = other.copy());
            lists.run(optimizer, 0.5.into()).unwrap();
        }
    }

    #[test]
    fn of_an_undefined_parameter() {
        let expected = "expected parameter 0 with a shape, got an undefined tensor";
        let parameters = [Tensor::new()];
        let texts = [
            refusal(|| drop(AdamMemory::new(&parameters))),
            refusal(|| drop(SgdMemory::new(&parameters, SGD))),
            refusal(|| drop(RmsPropMemory::new(&parameters, RMS_PROP, 1.0))),
        ];
        assert!(texts.iter().all(|text| text == expected), "{texts:?}");
    }
}

mod steps {
    use super::*;

    #[track_caller]
    fn check_replaced(steps: impl Fn() -> Tensor, got: &str) {
        let adams = [Optimizer::Adam, Optimizer::AdamW];
        let expected = format!("expected the count of steps as one Float [] on cpu, got {got}");
        check_with(&adams, |lists| lists.steps = steps(), &expected);
    }

    #[test]
    fn undefined() {
        check_replaced(Tensor::new, "an undefined tensor");
    }

    #[test]
    fn empty() {
        check_replaced(|| Tensor::zeros([0], FLOAT), "Float [0] on cpu");
    }

    #[test]
    fn several() {
        check_replaced(|| Tensor::zeros([2], FLOAT), "Float [2] on cpu");
    }

    #[test]
    fn of_integers() {
        check_replaced(|| Tensor::zeros([], (Kind::Int64, Device::Cpu)), "Long [] on cpu");
        check_replaced(|| Tensor::zeros([], (Kind::Double, Device::Cpu)), "Double [] on cpu");
    }

    #[test]
    fn within_a_parameter() {
        let mut lists = Lists::new();
        lists.steps = lists.parameters[0].get(2);
        let error = lists.run(Optimizer::Adam, 1.0.into()).unwrap_err();
        assert!(error.contains("expected memory of its own for each tensor"), "{error}");
    }
}

mod rate {
    use super::*;

    #[track_caller]
    fn check_rate(rate: LearningRate, expected: &str) {
        for optimizer in ALL {
            let error = Lists::new().run(optimizer, rate).unwrap_err();
            assert!(error.contains(expected), "{optimizer:?}: {error}");
        }
    }

    #[test]
    fn that_is_no_step_size() {
        for number in [f64::NAN, f64::INFINITY, -1e-9, f64::NEG_INFINITY] {
            check_rate(
                number.into(),
                &format!("expected a learning rate of at least 0, got {number}"),
            );
        }
    }

    #[test]
    fn of_zero_moves_nothing() {
        // The velocities of RMSProp hold the rates of earlier steps.
        for optimizer in ALL.into_iter().filter(|optimizer| *optimizer != Optimizer::RmsProp) {
            let mut lists = Lists::new();
            lists.run(optimizer, 0.0.into()).unwrap();
            assert!(lists.parameters[1].equal(&ones(&[4, 3])), "{optimizer:?}");
        }
    }

    #[test]
    fn in_another_tensor_than_a_scalar() {
        let expected = "expected the learning rate as one Float [] on cpu, got ";
        for (tensor, got) in [
            (Tensor::new(), "an undefined tensor"),
            (Tensor::zeros([0], FLOAT), "Float [0]"),
            (Tensor::zeros([2], FLOAT), "Float [2]"),
            (Tensor::from(1.0_f64), "Double []"),
            (Tensor::from(1_i64), "Long []"),
        ] {
            check_rate(LearningRate::Tensor(&tensor), &format!("{expected}{got}"));
        }
    }

    #[test]
    fn within_a_parameter() {
        for optimizer in ALL {
            let mut lists = Lists::new();
            let rate = lists.parameters[1].get(0).get(0);
            let error = lists.run(optimizer, LearningRate::Tensor(&rate)).unwrap_err();
            assert!(error.contains("expected memory of its own for each tensor"), "{error}");
        }
    }
}

mod hyperparameters {
    use super::*;

    const BAD: [f64; 4] = [f64::NAN, -0.1, f64::INFINITY, f64::NEG_INFINITY];

    #[track_caller]
    fn adam(step: AdamStep, expected: &str) {
        let lists = Lists::new();
        let mut memory = AdamMemory::new(&lists.parameters);
        let error = fused_adam(&lists.parameters, &lists.gradients, &mut memory, step, 1.0.into())
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn of_adam() {
        for bad in BAD.into_iter().chain([1.0]) {
            let expected = format!("of at least 0 and below 1, got {bad}");
            adam(AdamStep { beta1: bad, ..ADAM }, &format!("expected a beta1 {expected}"));
            adam(AdamStep { beta2: bad, ..ADAM }, &format!("expected a beta2 {expected}"));
        }
        for bad in BAD {
            let expected = format!("of at least 0, got {bad}");
            adam(AdamStep { eps: bad, ..ADAM }, &format!("expected an eps {expected}"));
            let step = AdamStep { weight_decay: bad, ..ADAM };
            adam(step, &format!("expected a weight decay {expected}"));
        }
    }

    #[test]
    fn of_sgd() {
        for bad in BAD {
            let expected = format!("of at least 0, got {bad}");
            let lists = Lists::new();
            for (step, name) in [
                (SgdStep { momentum: bad, ..SGD }, "a momentum"),
                (SgdStep { weight_decay: bad, ..SGD }, "a weight decay"),
            ] {
                let mut memory = SgdMemory::new(&lists.parameters, step);
                let (parameters, gradients) = (&lists.parameters, &lists.gradients);
                let error =
                    fused_sgd(parameters, gradients, &mut memory, step, 1.0.into()).unwrap_err();
                let expected = format!("expected {name} {expected}");
                assert!(error.to_string().contains(&expected), "{error}");
            }
        }
    }

    #[test]
    fn of_rms_prop() {
        for bad in BAD {
            let lists = Lists::new();
            for (step, expected) in [
                (RmsPropStep { rho: bad, ..RMS_PROP }, "expected a rho of at least 0 and below 1"),
                (RmsPropStep { momentum: bad, ..RMS_PROP }, "expected a momentum of at least 0"),
                (RmsPropStep { eps: bad, ..RMS_PROP }, "expected an eps of at least 0"),
                (
                    RmsPropStep { weight_decay: bad, ..RMS_PROP },
                    "expected a weight decay of at least 0",
                ),
            ] {
                let mut memory = RmsPropMemory::new(&lists.parameters, step, 1.0);
                let (parameters, gradients) = (&lists.parameters, &lists.gradients);
                let error =
                    rms_prop(parameters, gradients, &mut memory, step, 1.0.into()).unwrap_err();
                assert!(error.to_string().contains(expected), "{error}");
            }
        }
    }
}
