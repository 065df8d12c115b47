//! Muon: momentum whose matrices are made nearly orthogonal before they move the weights.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};
use torch_ext::LearningRate;

use crate::optim::Error;
use crate::precision::Precision;

/// Of the odd quintic polynomial that pulls singular values towards one, steepest at zero (Jordan et al. 2024).
const COEFFICIENTS: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);

/// No norm is taken to be less, so that a gradient of zeros gives an update of zeros.
const SMALLEST_NORM: f64 = 1e-7;

/// The numbers of a step, but for the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MuonStep {
    /// The decay of the running mean of the gradients.
    pub(super) momentum: f64,
    /// Whether the step looks ahead along the mean.
    pub(super) nesterov: bool,
    /// Newton–Schulz iterations.
    pub(super) iterations: u32,
    /// The precision of the iterations; `fp32` means the parameters' kind.
    pub(super) precision: Precision,
    /// Strength of the decay, which is apart from the gradient.
    pub(super) weight_decay: f64,
}

/// Kernels that are matrices of one shape, so that one batched product serves them all.
struct Stack {
    /// The indices of the parameters.
    members: Vec<usize>,
    /// Running means of their gradients, `[members, c_out, c_in · k · k]`.
    momenta: Tensor,
}

/// The state for a list of parameters.
pub(super) struct MuonMemory {
    stacks: Vec<Stack>,
    /// Each parameter's part of the stacks, in its shape.
    pub(super) momenta: Vec<Tensor>,
}

/// Whether Muon moves this parameter: a dense convolution's kernel, `[c_out, c_in, k, k]` with `c_in` above 1.
///
/// A depthwise kernel is one small filter a channel, whose directions have no norm in common; the classifier, norms
/// and biases are left to another optimizer, as its authors do.
pub(super) fn moves(parameter: &Tensor) -> bool {
    parameter.dim() == 4 && parameter.size()[1] > 1
}

impl MuonMemory {
    /// The state before the first step of `parameters`, each of at least two dimensions.
    pub(super) fn new(parameters: &[Tensor]) -> Self {
        let mut shapes: BTreeMap<(i64, i64), Vec<usize>> = BTreeMap::new();
        for (index, parameter) in parameters.iter().enumerate() {
            let rows = parameter.size()[0];
            let columns = parameter.numel() as i64 / rows;
            shapes.entry((rows, columns)).or_default().push(index);
        }
        let stack = |((rows, columns), members): (_, Vec<usize>)| {
            let options = (parameters[members[0]].kind(), parameters[members[0]].device());
            let momenta = Tensor::zeros([members.len() as i64, rows, columns], options);
            Stack { members, momenta }
        };
        let stacks: Vec<Stack> = shapes.into_iter().map(stack).collect();
        let mut momenta: Vec<Tensor> = parameters.iter().map(Tensor::shallow_clone).collect();
        for Stack { members, momenta: stacked } in &stacks {
            for (place, &member) in (0..).zip(members) {
                momenta[member] = stacked.select(0, place).view_as(&parameters[member]);
            }
        }
        Self { stacks, momenta }
    }
}

/// Moves every parameter by one step; parameters, gradients and memory run in parallel.
///
/// A kernel counts as its matrix `[c_out, c_in · k · k]`, and an update is multiplied with `√max(1, rows / columns)`,
/// so that its effect on the outputs does not depend on the shape. That is how Jordan 2024 states it; his own code takes
/// the quotient of a kernel's two last sides, which is always 1.
/// PyTorch: `torch.optim.Muon(adjust_lr_fn="original")`, which takes matrices only and iterates in bf16.
pub(super) fn step(
    parameters: &[Tensor],
    gradients: &[Tensor],
    memory: &mut MuonMemory,
    step: MuonStep,
    learning_rate: LearningRate<'_>,
) -> Result<(), Error> {
    let rate = match learning_rate {
        LearningRate::Number(number) => Tensor::from(number),
        LearningRate::Tensor(tensor) => tensor.shallow_clone(),
    };
    tch::no_grad(|| {
        let kept = (&rate * -step.weight_decay) + 1.0;
        for Stack { members, momenta } in &mut memory.stacks {
            let (_, rows, columns) = momenta.size3()?;
            let matrices: Result<Vec<Tensor>, _> = members
                .iter()
                .map(|&member| gradients[member].f_reshape([rows, columns]))
                .collect();
            let mut updates = Tensor::f_stack(&matrices?, 0)?;
            drop(momenta.f_lerp_(&updates, 1.0 - step.momentum)?);
            if step.nesterov {
                drop(updates.f_lerp_(momenta, step.momentum)?);
            } else {
                updates.f_copy_(momenta)?;
            }
            let kind = match step.precision.resolved(momenta.device()) {
                Precision::Bf16 => Kind::BFloat16,
                _ => momenta.kind(),
            };
            let orthogonal = orthogonalize(&updates.f_to_kind(kind)?, step.iterations)?;
            let scale = (rows as f64 / columns as f64).max(1.0).sqrt();
            let updates = orthogonal.f_to_kind(momenta.kind())?.f_mul(&(&rate * scale))?;
            for (place, &member) in (0..).zip(members.iter()) {
                let mut parameter = parameters[member].shallow_clone();
                if step.weight_decay != 0.0 {
                    drop(parameter.f_mul_(&kept)?);
                }
                drop(parameter.f_sub_(&updates.f_select(0, place)?.f_view_as(&parameter)?)?);
            }
        }
        Ok(())
    })
}

/// Each of `matrices`, `[n, rows, columns]`, with its singular values moved close to one: `U S' Vᵀ` with `S'` about 0.7
/// to 1.2 after five iterations.
fn orthogonalize(matrices: &Tensor, iterations: u32) -> Result<Tensor, Error> {
    let (_, rows, columns) = matrices.size3()?;
    let transposes = rows > columns;
    // The products of the short side with itself are the smaller ones.
    let wide = if transposes { matrices.f_transpose(1, 2)? } else { matrices.shallow_clone() };
    let norms = wide.f_norm_scalaropt_dim(2.0, [1, 2].as_slice(), true)?;
    let mut xs = wide.f_div(&norms.f_clamp_min(SMALLEST_NORM)?)?;
    let (a, b, c) = COEFFICIENTS;
    for _ in 0..iterations {
        let gram = xs.f_bmm(&xs.f_transpose(1, 2)?)?;
        let polynomial = gram.f_baddbmm(&gram, &gram, b, c)?;
        xs = xs.f_baddbmm(&polynomial, &xs, a, 1.0)?;
    }
    Ok(if transposes { xs.f_transpose(1, 2)?.f_contiguous()? } else { xs })
}

#[cfg(test)]
mod tests;
