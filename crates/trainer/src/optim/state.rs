//! The state of optimizers and averages: its bytes, and how it is restored, completely or with a list of what does not fit.

use std::collections::BTreeMap;

use tch::Tensor;
use xception::weights::Tensors;

use crate::optim::Error;

/// Bytes that tensors take.
pub(crate) fn bytes<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> u64 {
    let bytes = |tensor: &Tensor| tensor.numel() * tensor.kind().elt_size_in_bytes();
    tensors.into_iter().map(bytes).sum::<usize>() as u64
}

/// Copies `tensors` into those of the same names in `own`, in place and across devices. A name may be in `own` more
/// than once. `what` the tensors belong to goes into the error.
///
/// Names, shapes and kinds must agree exactly: a cast would lose bits, and a run that resumes with other bits is
/// another run. Otherwise nothing is copied and the error lists every problem.
pub(crate) fn restore(
    what: &'static str,
    own: &[(String, Tensor)],
    tensors: &Tensors,
) -> Result<(), Error> {
    let known: BTreeMap<&String, &Tensor> =
        own.iter().map(|(name, tensor)| (name, tensor)).collect();
    let ours = known.iter().filter_map(|(name, own)| match tensors.get(*name) {
        None => Some(format!("{name} is missing")),
        Some(given) if given.size() != own.size() => {
            Some(format!("{name}: expected shape {:?}, got {:?}", own.size(), given.size()))
        }
        Some(given) if given.kind() != own.kind() => {
            Some(format!("{name}: expected kind {:?}, got {:?}", own.kind(), given.kind()))
        }
        Some(_) => None,
    });
    let unknown = tensors.keys().filter(|name| !known.contains_key(name));
    let problems: Vec<String> =
        ours.chain(unknown.map(|name| format!("{name} is unknown here"))).collect();
    if !problems.is_empty() {
        return Err(Error::State { what, problems });
    }
    tch::no_grad(|| {
        for (name, own) in own {
            own.shallow_clone().f_copy_(&tensors[name])?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::ExitCode;
    use tch::{Device, Kind};

    #[test]
    fn every_problem_is_said_and_nothing_is_copied() {
        let zeros = |shape: &[i64], kind| Tensor::zeros(shape, (kind, Device::Cpu));
        let names = ["a", "b", "c", "d"];
        let own = names.map(|name| (name.to_string(), zeros(&[2], Kind::Float)));
        let given: Tensors = [
            ("a".to_string(), zeros(&[2], Kind::Float) + 1.0),
            ("b".to_string(), zeros(&[3], Kind::Float)),
            ("c".to_string(), zeros(&[2], Kind::Double)),
            ("e".to_string(), zeros(&[2], Kind::Float)),
        ]
        .into();
        let error = restore("optimizer", &own, &given).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Data);
        let expected = "the saved state does not fit the optimizer in 4 places; resume with the recipe that it was saved \
                        under:\n  b: expected shape [2], got [3]\n  c: expected kind Float, got Double\n  d is missing\n  \
                        e is unknown here";
        assert_eq!(error.to_string(), expected);
        assert_eq!(own[0].1.double_value(&[0]), 0.0);
    }

    #[test]
    fn a_name_may_stand_for_several_tensors() {
        let zero = || Tensor::zeros([], (Kind::Float, Device::Cpu));
        let own = [("steps".to_string(), zero()), ("steps".to_string(), zero())];
        restore("optimizer", &own, &[("steps".to_string(), zero() + 3.0)].into()).unwrap();
        assert!(own.iter().all(|(_, tensor)| tensor.double_value(&[]) == 3.0));
    }

    #[test]
    fn a_long_list_is_cut() {
        let given: Tensors = (0..20).map(|i| (format!("{i:02}"), Tensor::from(0.0_f32))).collect();
        let error = restore("average", &[], &given).unwrap_err().to_string();
        assert!(error.contains("in 20 places") && error.ends_with("… and 8 more"), "{error}");
    }
}
