//! Memory formats of tensors that have none.

use tch::Tensor;
use torch_ext::{channels_last, is_channels_last};

use crate::{FLOAT, ones};

#[track_caller]
fn check(xs: &Tensor, expected: &str) {
    for error in [channels_last(xs).map(|_| ()), is_channels_last(xs).map(|_| ())] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "expected {expected:?}, got {error:?}");
    }
}

const EXPECTED: &str = "expected images [N, C, H, W] with strides, got ";

#[test]
fn of_an_undefined_tensor() {
    check(&Tensor::new(), &format!("{EXPECTED}an undefined tensor"));
}

#[test]
fn of_a_sparse_tensor() {
    let sparse = ones(&[1, 2, 3, 3]).to_sparse(None, None::<i64>, None);
    check(&sparse, &format!("{EXPECTED}Float [1, 2, 3, 3] on cpu in the layout Sparse"));
}

#[test]
fn of_a_tensor_in_the_layout_of_onednn() {
    let mkldnn = ones(&[1, 2, 3, 3]).to_mkldnn();
    check(&mkldnn, &format!("{EXPECTED}Float [1, 2, 3, 3] on cpu in the layout Mkldnn"));
}

#[test]
fn of_other_dimensions() {
    for shape in [&[][..], &[3], &[2, 3], &[1, 2, 3], &[1, 2, 3, 4, 5]] {
        let error = channels_last(&ones(shape)).unwrap_err().to_string();
        assert!(error.contains("required rank 4 tensor"), "{error}");
        assert!(!is_channels_last(&ones(shape)).unwrap());
    }
}

#[test]
fn of_a_view_that_is_negated_when_it_is_read() {
    let ones = ones(&[1, 4, 3, 3]);
    let negated = Tensor::complex(&ones, &ones).conj().imag();
    assert!(negated.is_neg());
    let xs = channels_last(&negated).unwrap();
    assert!(xs.equal(&-ones) && is_channels_last(&xs).unwrap());
}

#[test]
fn of_empty_and_expanded_images() {
    let empty = channels_last(&Tensor::zeros([0, 4, 0, 3], FLOAT)).unwrap();
    assert_eq!(empty.size(), [0, 4, 0, 3]);
    let expanded = channels_last(&ones(&[1]).expand([2, 3, 4, 5], false)).unwrap();
    assert_eq!(expanded.stride(), [60, 1, 15, 3]);
}
