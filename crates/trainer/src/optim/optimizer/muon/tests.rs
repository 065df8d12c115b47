//! The step against PyTorch's, and the orthogonality that it is for.

use super::*;
use tch::Device;

const STEP: MuonStep = MuonStep {
    momentum: 0.9,
    nesterov: true,
    iterations: 5,
    precision: Precision::Fp32,
    weight_decay: 0.5,
};

fn matrix(rows: i64, columns: i64, step: i64) -> Tensor {
    let numbers = Tensor::arange(rows * columns, (Kind::Double, Device::Cpu));
    (numbers * 0.7 + step as f64).sin().view([rows, columns])
}

/// Three steps of two kernels in the form of these matrices, a 1×1 convolution's and one with the columns spread over
/// its width; the second matrix is the negative of the first.
fn moved(rows: i64, columns: i64, numbers: MuonStep, rate: LearningRate) -> [Vec<f64>; 2] {
    let kernels = |at: i64| {
        let matrix = matrix(rows, columns, at);
        [matrix.view([rows, columns, 1, 1]), -matrix.view([rows, 1, 1, columns])]
    };
    let parameters = kernels(9).map(|kernel| kernel.copy());
    let mut memory = MuonMemory::new(&parameters);
    assert_eq!(memory.stacks.len(), 1);
    for at in 0..3 {
        step(&parameters, &kernels(at), &mut memory, numbers, rate).unwrap();
    }
    assert_eq!(memory.momenta[1].size(), [rows, 1, 1, columns]);
    parameters.map(|parameter| Vec::try_from(parameter.flatten(0, -1)).unwrap())
}

#[track_caller]
fn check(rows: i64, columns: i64, nesterov: bool, expected: [f64; 6]) {
    let [first, second] = moved(rows, columns, MuonStep { nesterov, ..STEP }, 0.1.into());
    for ((first, second), expected) in first.iter().zip(&second).zip(expected) {
        assert!((first - expected).abs() < 1e-12, "{first} {expected}");
        assert_eq!(*second, -first);
    }
}

/// PyTorch 2.13, its iterations in float64 instead of bf16, on copies as there:
///
/// ```python
/// torch.Tensor.bfloat16 = lambda self: self.double().clone()
/// def matrix(rows, cols, step):
///     return (torch.arange(rows * cols, dtype=torch.float64) * 0.7 + step).sin().view(rows, cols)
/// def moved(rows, cols, nesterov):
///     w = matrix(rows, cols, 9).requires_grad_()
///     o = torch.optim.Muon([w], lr=0.1, weight_decay=0.5, momentum=0.9, nesterov=nesterov)
///     for step in range(3):
///         w.grad = matrix(rows, cols, step); o.step()
///     return w.flatten().tolist()
/// ```
#[test]
fn muon_is_pytorchs() {
    check(2, 3, true, WIDE_NESTEROV);
    check(2, 3, false, WIDE);
    check(3, 2, true, TALL_NESTEROV);
    check(3, 2, false, TALL);
}

const WIDE_NESTEROV: [f64; 6] = [
    0.211879864833624,
    -0.36941531675961364,
    -0.7769687026072551,
    -1.0195488903644314,
    -0.5859789136233472,
    0.12318610236789233,
];
const WIDE: [f64; 6] = [
    0.22923309937799377,
    -0.38114150042302114,
    -0.8122592970748657,
    -1.0513335717417294,
    -0.6124998687002412,
    0.1144020931654198,
];
const TALL_NESTEROV: [f64; 6] = [
    0.321396614350455,
    -0.4035069638062197,
    -0.9494147883736586,
    -0.787626726382071,
    -0.6441352523646702,
    0.13576563509615974,
];
const TALL: [f64; 6] = [
    0.3470893050565053,
    -0.4235082428774313,
    -0.9652381688087327,
    -0.8240529393058735,
    -0.6752068525978665,
    0.14338439549270193,
];

#[test]
fn bf16_is_near_and_a_rate_may_be_a_tensor() {
    let bf16 = MuonStep { precision: Precision::Bf16, ..STEP };
    let [first, _] = moved(2, 3, bf16, 0.1.into());
    let near = first.iter().zip(WIDE_NESTEROV).all(|(got, expected)| (got - expected).abs() < 0.02);
    assert!(near && first != WIDE_NESTEROV, "{first:?}");
    let rate = Tensor::from(0.125_f32);
    let as_tensor = moved(2, 3, STEP, LearningRate::Tensor(&rate));
    assert_eq!(as_tensor, moved(2, 3, STEP, 0.125.into()));
}

#[test]
fn five_iterations_bring_singular_values_close_to_one() {
    for (rows, columns) in [(24, 40), (40, 24)] {
        // Noise has no singular value that five iterations could not lift.
        tch::manual_seed(0);
        let noise = Tensor::randn([3, rows, columns], (Kind::Double, Device::Cpu));
        let (_, values, _) = orthogonalize(&noise, 5).unwrap().svd(true, false);
        let (least, most) = (values.min().double_value(&[]), values.max().double_value(&[]));
        assert!(least > 0.6 && most < 1.25, "{least} {most}");
    }
}

#[test]
fn a_gradient_of_zeros_moves_nothing() {
    let parameters = [Tensor::ones([2, 3, 1, 1], (Kind::Float, Device::Cpu))];
    let still = MuonStep { weight_decay: 0.0, ..STEP };
    let mut memory = MuonMemory::new(&parameters);
    step(&parameters, &[parameters[0].zeros_like()], &mut memory, still, 0.1.into()).unwrap();
    assert!(parameters[0].equal(&parameters[0].ones_like()));
}

#[test]
fn dense_kernels_are_moved_and_nothing_else() {
    let moved = |shape: &[i64]| moves(&Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
    assert!(moved(&[728, 728, 1, 1]) && moved(&[32, 3, 3, 3]));
    assert!(!moved(&[728, 1, 3, 3]) && !moved(&[1000, 2048]) && !moved(&[728]));
}
