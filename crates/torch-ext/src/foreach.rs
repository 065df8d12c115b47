//! Operations on all gradients or all weights of a step at once, without an operator for each.

use tch::Tensor;
use torch_sys::C_tensor;

use crate::{Error, ffi};

/// Scales all `gradients` by one factor, in place, so that their norm as one vector is at most `max_norm`, and returns the
/// norm that they had, a scalar on their device.
///
/// On a GPU nothing waits for the device. A gradient that is not finite makes the norm so, and then every gradient.
/// PyTorch: `torch.nn.utils.clip_grad_norm_(max_norm)` (Pascanu et al. 2013).
///
/// # Errors
/// No gradients; one that is undefined, sparse, not of floating-point numbers, or shares memory with another or with
/// itself; a `max_norm` that is negative or NaN; and libtorch's own. No gradient is changed then.
pub fn clip_gradients(gradients: &[Tensor], max_norm: f64) -> Result<Tensor, Error> {
    let operation = "a clipping of gradients";
    if gradients.is_empty() {
        let message = "expected at least one gradient, got none".to_string();
        return Err(Error { operation, message });
    }
    if max_norm.is_nan() || max_norm < 0.0 {
        let message = format!("expected a max_norm of at least 0, got {max_norm}");
        return Err(Error { operation, message });
    }
    let list = ffi::pointers(gradients);
    let mut norm: *mut C_tensor = std::ptr::null_mut();
    // SAFETY: the list points to live tensors and is passed with its length; there is room for the result.
    ffi::check(operation, unsafe {
        ffi::torch_ext_clip_gradients(list.as_ptr(), list.len(), max_norm, &mut norm)
    })?;
    // SAFETY: on success `norm` is a new at::Tensor, which `from_ptr` takes over.
    Ok(unsafe { Tensor::from_ptr(norm) })
}

/// Moves each of `starts`, in place, by `weight` of the way to its counterpart in `ends`: 0 leaves it, 1 makes it equal.
/// PyTorch: `torch._foreach_lerp_`.
///
/// # Errors
/// Lists of unequal lengths; a pair of unequal shape, kind or device; a tensor that is undefined, sparse, not of
/// floating-point numbers, or shares memory with another or with itself; a `weight` that is not finite; and libtorch's
/// own. No tensor is changed then.
pub fn lerp(starts: &[Tensor], ends: &[Tensor], weight: f64) -> Result<(), Error> {
    let operation = "an interpolation";
    if starts.len() != ends.len() {
        let message = format!("{} starts and {} ends do not pair up", starts.len(), ends.len());
        return Err(Error { operation, message });
    }
    if !weight.is_finite() {
        let message = format!("expected a finite weight, got {weight}");
        return Err(Error { operation, message });
    }
    if starts.is_empty() {
        return Ok(());
    }
    let (from, to) = (ffi::pointers(starts), ffi::pointers(ends));
    // SAFETY: two lists of equal length that point to live tensors.
    let text = unsafe { ffi::torch_ext_lerp(from.as_ptr(), to.as_ptr(), from.len(), weight) };
    ffi::check(operation, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PyTorch 2.13: `a = torch.tensor([3., -4.], dtype=torch.float64)`, `b = torch.tensor([[12.]],
    /// dtype=torch.float64)` as gradients, `torch.nn.utils.clip_grad_norm_([p, q], 6.5)`.
    #[test]
    fn clipping_is_pytorchs() {
        let gradients =
            || [Tensor::from_slice(&[3.0_f64, -4.0]), Tensor::from_slice(&[12.0_f64]).view([1, 1])];
        let clipped = gradients();
        assert_eq!(clip_gradients(&clipped, 6.5).unwrap().double_value(&[]), 13.0);
        let got = [
            clipped[0].double_value(&[0]),
            clipped[0].double_value(&[1]),
            clipped[1].double_value(&[0, 0]),
        ];
        for (got, expected) in got.iter().zip(PYTORCHS) {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
        let short = gradients();
        assert_eq!(clip_gradients(&short, 13.5).unwrap().double_value(&[]), 13.0);
        assert!(short.iter().zip(gradients()).all(|(got, expected)| got.equal(&expected)));
    }

    const PYTORCHS: [f64; 3] = [1.4999998846153937, -1.9999998461538582, 5.999999538461575];

    #[test]
    fn a_gradient_that_is_not_finite_shows() {
        let gradients = [Tensor::from_slice(&[1.0_f32]), Tensor::from_slice(&[f32::NAN])];
        assert!(clip_gradients(&gradients, 1.0).unwrap().double_value(&[]).is_nan());
        assert!(gradients[0].double_value(&[0]).is_nan());
    }

    #[test]
    fn lerp_moves_part_of_the_way() {
        let of = |value: f64| [Tensor::from_slice(&[value, 0.0]), Tensor::from(value)];
        let starts = of(1.0);
        lerp(&starts, &of(3.0), 0.25).unwrap();
        assert_eq!((starts[0].double_value(&[0]), starts[1].double_value(&[])), (1.5, 1.5));
        lerp(&starts, &of(0.1), 1.0).unwrap();
        assert!(starts[0].equal(&of(0.1)[0]));
        let error = lerp(&starts, &[], 1.0).unwrap_err().to_string();
        assert_eq!(error, "an interpolation was refused: 2 starts and 0 ends do not pair up");
    }
}
