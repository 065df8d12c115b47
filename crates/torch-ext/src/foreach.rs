//! What a step does to all gradients or all weights at once, without an operator for each.

use tch::Tensor;
use torch_sys::C_tensor;

use crate::{Error, ffi};

/// Scales all `gradients` by one factor, in place, so that their norm as one vector is `max_norm` at most, and returns
/// what it was, a scalar beside them.
///
/// On a GPU nothing waits for the device. The gradients must not share memory. One that is not finite makes the norm,
/// and then every gradient, so. PyTorch: `torch.nn.utils.clip_grad_norm_(max_norm)` (Pascanu et al. 2013).
///
/// # Errors
/// No gradients, or one that libtorch refuses.
pub fn clip_gradients(gradients: &[Tensor], max_norm: f64) -> Result<Tensor, Error> {
    let list = ffi::pointers(gradients);
    let mut norm: *mut C_tensor = std::ptr::null_mut();
    // SAFETY: a list of `count` valid tensors; on success `norm` is a new at::Tensor that is now ours.
    ffi::check("to clip gradients", unsafe {
        ffi::torch_ext_clip_gradients(list.as_ptr(), list.len(), max_norm, &mut norm)
    })?;
    // SAFETY: as above; `from_ptr` takes the ownership.
    Ok(unsafe { Tensor::from_ptr(norm) })
}

/// Moves each of `starts`, in place, by `weight` of the way to its counterpart in `ends`: not at all by 0, exactly there
/// by 1. PyTorch: `torch._foreach_lerp_`.
///
/// # Errors
/// Lists of unequal lengths, or tensors of unequal shapes or kinds.
pub fn lerp(starts: &[Tensor], ends: &[Tensor], weight: f64) -> Result<(), Error> {
    let operation = "to interpolate";
    if starts.len() != ends.len() {
        let message = format!("{} starts and {} ends do not pair up", starts.len(), ends.len());
        return Err(Error { operation, message });
    }
    if starts.is_empty() {
        return Ok(());
    }
    let (from, to) = (ffi::pointers(starts), ffi::pointers(ends));
    // SAFETY: two lists of `count` valid tensors each, alive through the call.
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
    fn lerp_goes_part_of_the_way() {
        let of = |value: f64| [Tensor::from_slice(&[value, 0.0]), Tensor::from(value)];
        let starts = of(1.0);
        lerp(&starts, &of(3.0), 0.25).unwrap();
        assert_eq!((starts[0].double_value(&[0]), starts[1].double_value(&[])), (1.5, 1.5));
        lerp(&starts, &of(0.1), 1.0).unwrap();
        assert!(starts[0].equal(&of(0.1)[0]));
        let error = lerp(&starts, &[], 1.0).unwrap_err().to_string();
        assert_eq!(error, "libtorch refused to interpolate: 2 starts and 0 ends do not pair up");
    }
}
