//! Clipping and interpolation over lists that do not fit together.

use tch::{Device, Kind, Tensor};
use torch_ext::{clip_gradients, lerp};

use crate::{FLOAT, ones};

mod clipping {
    use super::*;

    /// The list with a good gradient before the bad one is refused, and the good one stays.
    #[track_caller]
    fn check(bad: Tensor, expected: &str) {
        let good = ones(&[3]) * 100.0;
        let error = clip_gradients(&[good.shallow_clone(), bad], 1.0).unwrap_err().to_string();
        assert!(error.contains(expected), "expected {expected:?}, got {error:?}");
        assert!(good.equal(&(ones(&[3]) * 100.0)), "a refused call changed a gradient");
    }

    #[test]
    fn of_nothing() {
        let error = clip_gradients(&[], 0.5).unwrap_err().to_string();
        assert!(error.contains("expected at least one gradient, got none"), "{error}");
    }

    #[test]
    fn of_an_undefined_gradient() {
        check(
            Tensor::new(),
            "expected gradient 1 of floating-point numbers in memory, got an undefined tensor",
        );
    }

    #[test]
    fn of_integers() {
        check(Tensor::ones([2], (Kind::Int64, Device::Cpu)), "got Long [2] on cpu");
        check(Tensor::ones([2], (Kind::Uint8, Device::Cpu)), "got Byte [2] on cpu");
    }

    #[test]
    fn of_complex_numbers() {
        check(Tensor::ones([2], (Kind::ComplexDouble, Device::Cpu)), "got ComplexDouble [2]");
    }

    #[test]
    fn of_a_sparse_gradient() {
        check(ones(&[2, 2]).to_sparse(None, None::<i64>, None), "in the layout Sparse");
        check(ones(&[2, 2]).to_mkldnn(), "in the layout Mkldnn");
    }

    #[test]
    fn of_an_expanded_gradient() {
        check(
            ones(&[1]).expand([1 << 20], false),
            "expected gradient 1 without repetition in memory, got Float [1048576] with strides [0]",
        );
    }

    #[test]
    fn of_one_gradient_twice() {
        let one = ones(&[4]);
        let error = clip_gradients(&[one.shallow_clone(), one], 0.5).unwrap_err().to_string();
        assert!(error.contains("got gradient 0 and gradient 1 in the same"), "{error}");
    }

    #[test]
    fn of_gradients_that_overlap() {
        let both = ones(&[10]);
        let error = clip_gradients(&[both.narrow(0, 0, 6), both.narrow(0, 5, 5)], 0.5);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("expected memory of its own"), "{error}");
    }

    #[test]
    fn to_no_norm() {
        for max_norm in [f64::NAN, -1.0, f64::NEG_INFINITY] {
            let error = clip_gradients(&[ones(&[1])], max_norm).unwrap_err().to_string();
            let expected = format!("expected a max_norm of at least 0, got {max_norm}");
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[test]
    fn to_an_infinite_norm_measures_only() {
        let gradient = ones(&[4]);
        let norm = clip_gradients(&[gradient.shallow_clone()], f64::INFINITY).unwrap();
        assert_eq!((norm.double_value(&[]), gradient.double_value(&[3])), (2.0, 1.0));
    }

    /// Columns of a matrix interleave in memory and do not overlap.
    #[test]
    fn of_columns_of_one_matrix() {
        let matrix = ones(&[4, 2]);
        let norm = clip_gradients(&[matrix.select(1, 0), matrix.select(1, 1)], 1e-3).unwrap();
        assert!((norm.double_value(&[]) - 8f64.sqrt()).abs() < 1e-6);
        assert!(matrix.double_value(&[3, 1]) < 1e-3);
    }
}

mod interpolation {
    use super::*;

    #[track_caller]
    fn check(start: Tensor, end: Tensor, expected: &str) {
        let good = Tensor::zeros([3], FLOAT);
        let (starts, ends) = ([good.shallow_clone(), start], [ones(&[3]), end]);
        let error = lerp(&starts, &ends, 0.5).unwrap_err().to_string();
        assert!(error.contains(expected), "expected {expected:?}, got {error:?}");
        assert!(good.equal(&good.zeros_like()), "a refused call moved a tensor");
    }

    #[test]
    fn of_undefined_tensors() {
        check(Tensor::new(), Tensor::new(), "expected start 1 of floating-point numbers in memory");
        check(
            ones(&[2]),
            Tensor::new(),
            "expected end 1 to be Float [2] on cpu as its start is, got an undefined tensor",
        );
    }

    #[test]
    fn does_not_broadcast() {
        let expected = "expected end 1 to be Float [1048576] on cpu as its start is, got Float [1]";
        check(Tensor::zeros([1 << 20], FLOAT), ones(&[1]), expected);
        check(ones(&[1]), ones(&[1 << 20]), "got Float [1048576]");
        check(ones(&[2, 3]), ones(&[3]), "got Float [3]");
        check(ones(&[2, 3]), ones(&[3, 2]), "got Float [3, 2]");
        check(ones(&[2]), ones(&[]), "got Float []");
        check(ones(&[2]), ones(&[0]), "got Float [0]");
    }

    #[test]
    fn of_unequal_kinds() {
        check(ones(&[2]), Tensor::ones([2], (Kind::Double, Device::Cpu)), "got Double [2]");
        check(ones(&[2]), Tensor::ones([2], (Kind::BFloat16, Device::Cpu)), "got BFloat16 [2]");
    }

    #[test]
    fn of_integers() {
        let integers = || Tensor::ones([2], (Kind::Int, Device::Cpu));
        check(integers(), integers(), "expected start 1 of floating-point numbers in memory");
    }

    #[test]
    fn of_an_expanded_start() {
        let start = Tensor::zeros([1], FLOAT).expand([8], false);
        check(start, ones(&[8]), "expected start 1 without repetition in memory");
    }

    #[test]
    fn of_a_start_with_itself() {
        let start = ones(&[4]);
        let error = lerp(&[start.shallow_clone()], &[start], 0.5).unwrap_err().to_string();
        assert!(error.contains("expected memory of its own"), "{error}");
    }

    #[test]
    fn of_views_that_overlap() {
        let both = ones(&[10]);
        let (start, end) = ([both.narrow(0, 0, 9)], [both.narrow(0, 1, 9)]);
        let error = lerp(&start, &end, 0.5).unwrap_err().to_string();
        assert!(error.contains("got start 0 and end 0 in the same"), "{error}");
    }

    #[test]
    fn by_a_weight_that_is_not_finite() {
        for weight in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = lerp(&[ones(&[1])], &[ones(&[1])], weight).unwrap_err().to_string();
            assert!(error.contains(&format!("expected a finite weight, got {weight}")), "{error}");
        }
    }

    /// The averages of weights lie as the weights do, and their counterparts need not.
    #[test]
    fn of_another_layout_goes_by_values() {
        let (start, end) =
            (Tensor::zeros([2, 3], FLOAT), Tensor::arange(6, FLOAT).view([3, 2]).tr());
        lerp(&[start.shallow_clone()], &[end.shallow_clone()], 1.0).unwrap();
        assert!(start.equal(&end));
    }

    #[test]
    fn of_a_leaf_that_requires_gradients() {
        let start = Tensor::zeros([2], FLOAT).set_requires_grad(true);
        lerp(&[start.shallow_clone()], &[ones(&[2])], 0.5).unwrap();
        assert_eq!(start.double_value(&[1]), 0.5);
    }
}
