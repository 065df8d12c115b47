//! The fill formula of `golden/README.md`: weights and images as pure functions of a name.
//!
//! `golden/originals/fill.py` is the same in Python; both must round in the same places.

use tch::Tensor;

use crate::golden_file::{Fill, TensorEntry};

/// The first `count` numbers of the stream called `name`, in [-1, 1).
pub(crate) fn stream(name: &str, count: usize) -> Vec<f64> {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    (1..=count as u64)
        .map(|number| {
            let mut z = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            2.0 * ((z >> 40) as f64 / f64::from(1 << 24)) - 1.0
        })
        .collect()
}

/// The weights that the original was given for `entry`, fp32, in the original's layout.
pub(crate) fn weights(entry: &TensorEntry, fill: &Fill) -> Tensor {
    let name = entry.alias_of.as_ref().unwrap_or(&entry.name);
    let shape = &entry.shape;
    let value = |v: f64| match entry.role.as_str() {
        "weight" => v * (3.0 * fill.gain / entry.fan_in.expect("a weight has a fan-in")).sqrt(),
        "bias" => fill.bias * v,
        "scale" => fill.scale * (1.0 + 0.25 * v),
        "shift" => fill.shift * (1.0 + 0.25 * v),
        "running_mean" => fill.mean * v,
        "running_var" => fill.var * (1.0 + 0.25 * v),
        "counter" => 0.0,
        role => panic!("no fill for the role {role} of {name}"),
    };
    let values: Vec<f32> = stream(name, shape.iter().product::<i64>() as usize)
        .into_iter()
        .map(|v| value(v) as f32)
        .collect();
    Tensor::from_slice(&values).view(shape.as_slice())
}

/// Images `[n, 3, h, w]`, uniform in [-2, 2), float64.
pub(crate) fn images(name: &str, shape: &[i64]) -> Tensor {
    let values: Vec<f64> =
        stream(name, shape.iter().product::<i64>() as usize).into_iter().map(|v| 2.0 * v).collect();
    Tensor::from_slice(&values).view(shape)
}

#[test]
fn the_stream_is_the_scripts() {
    // python3 -c "from originals.fill import stream; print(stream('conv1.weight', 3))" in tests/golden.
    let expected = [0.0901498794555664, 0.49032342433929443, -0.9541566371917725];
    assert_eq!(stream("conv1.weight", 3), expected);
}
