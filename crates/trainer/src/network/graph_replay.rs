//! Work of one fixed shape on a GPU: run eagerly the first times, then recorded and replayed as a CUDA graph.
//!
//! The caller passes the work with every call, so what runs eagerly and what is recorded are the same function.

use tch::Tensor;
use torch_ext::CudaGraph;

use crate::network::Error;

/// Eager runs before the recording, in which libtorch sets itself up. Their results count.
const WARM_UPS: u32 = 3;

/// Work on `IN` tensors of fixed shapes that makes `OUT` tensors.
pub(crate) struct GraphReplay<const IN: usize, const OUT: usize> {
    // Before the tensors that it reads: it is dropped first.
    graph: Recorder,
    inputs: [Tensor; IN],
    warm_ups: u32,
    outputs: Option<[Tensor; OUT]>,
}

/// The recorder of the work.
enum Recorder {
    Cuda(CudaGraph),
    /// Refuses to record, on any device.
    #[cfg(test)]
    Refusing,
}

impl<const IN: usize, const OUT: usize> GraphReplay<IN, OUT> {
    /// For inputs on a GPU of the shapes, kinds and strides of `inputs`.
    pub(crate) fn new(inputs: [&Tensor; IN]) -> Result<Self, Error> {
        Ok(Self {
            graph: Recorder::Cuda(CudaGraph::new(inputs[0].device())?),
            inputs: inputs.map(|input| input.detach().copy()),
            warm_ups: 0,
            outputs: None,
        })
    }

    /// As [`GraphReplay::new`] on any device, whose recording fails.
    #[cfg(test)]
    pub(crate) fn refusing(inputs: [&Tensor; IN]) -> Self {
        let inputs = inputs.map(|input| input.detach().copy());
        Self { graph: Recorder::Refusing, inputs, warm_ups: 0, outputs: None }
    }

    /// Whether `inputs` have the shapes that this was made for.
    pub(crate) fn fits(&self, inputs: [&Tensor; IN]) -> bool {
        self.inputs.iter().zip(inputs).all(|(own, given)| own.size() == given.size())
    }

    /// Whether the next run records the work. If it fails, the device has done nothing of it.
    pub(crate) fn is_next_recorded(&self) -> bool {
        self.warm_ups == WARM_UPS && self.outputs.is_none()
    }

    /// Does `work` on `inputs`, which may be on the CPU and are cast.
    ///
    /// The first three calls run `work`, the fourth records it, and later ones do not call it. It must be the same work each
    /// time, and tensors that it reads beside its inputs must stay where they are. The next call overwrites the outputs.
    pub(crate) fn run<E: From<tch::TchError> + From<torch_ext::Error>>(
        &mut self,
        inputs: [&Tensor; IN],
        work: impl FnOnce(&[Tensor; IN]) -> Result<[Tensor; OUT], E>,
    ) -> Result<[Tensor; OUT], E> {
        for (own, given) in self.inputs.iter_mut().zip(inputs) {
            // First the bytes, then the cast, so that the GPU casts and not the CPU.
            own.f_copy_(&given.f_to_device(own.device())?)?;
        }
        if self.warm_ups < WARM_UPS {
            self.warm_ups += 1;
            return self.graph.warm_up(|| work(&self.inputs));
        }
        let outputs = match self.outputs.take() {
            Some(outputs) => outputs,
            None => self.graph.capture(|| work(&self.inputs))?,
        };
        self.graph.replay()?;
        Ok(self.outputs.insert(outputs).each_ref().map(Tensor::shallow_clone))
    }
}

impl Recorder {
    fn warm_up<T, E: From<torch_ext::Error>>(
        &mut self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Recorder::Cuda(graph) => graph.warm_up(work),
            #[cfg(test)]
            Recorder::Refusing => work(),
        }
    }

    fn capture<T, E: From<torch_ext::Error>>(
        &mut self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Recorder::Cuda(graph) => graph.capture(work),
            #[cfg(test)]
            Recorder::Refusing => {
                let message = "this one never can be recorded".to_string();
                Err(torch_ext::Error { operation: "a CUDA graph", message }.into())
            }
        }
    }

    fn replay(&self) -> Result<(), torch_ext::Error> {
        match self {
            Recorder::Cuda(graph) => graph.replay(),
            #[cfg(test)]
            Recorder::Refusing => unreachable!("it was never recorded"),
        }
    }
}

/// Says that `work` runs eagerly from now on.
pub(crate) fn warn_of_fall_back(work: &str, problem: &dyn std::fmt::Display) {
    tracing::warn!(
        "{work} cannot be recorded as a CUDA graph, and are launched kernel by kernel from now on, which is slower for \
         small batches: {problem}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim;
    use crate::optim::optimizer::{Decays, Optimizer, OptimizerConfig};
    use tch::{Device, Kind, Reduction, nn, nn::VarStore};
    use torch_ext::LearningRate;

    /// Replays after the warm-ups.
    const STEPS: usize = 5;

    /// A linear layer's weights and losses after some steps; matrix products are deterministic, so bits can be compared.
    fn trained(captured: bool) -> (Tensor, Vec<f64>) {
        let device = Device::Cuda(0);
        let store = VarStore::new(device);
        let weight = store.root().var("weight", &[16, 4], nn::Init::Const(0.1));
        let adam = OptimizerConfig::Adam {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.1,
            decays: Decays::All,
        };
        let mut optimizer = Optimizer::new(&store, adam);
        let mut rate = Tensor::zeros([], (Kind::Float, device));
        let mut update = |[xs, ys]: &[Tensor; 2], rate: &Tensor| -> Result<_, optim::Error> {
            let loss = xs.matmul(&weight).mse_loss(ys, Reduction::Mean);
            let gradients = optimizer.gradients(&loss)?;
            optimizer.step(&gradients, LearningRate::Tensor(rate))?;
            Ok([loss.detach()])
        };
        let batch = |step: usize| {
            let xs = Tensor::arange(8 * 16, (Kind::Float, Device::Cpu)).view([8, 16]);
            let xs = (xs + step as f64).sin();
            let ys = xs.narrow(1, 0, 4).cos();
            [xs, ys]
        };
        let on_device = |[xs, ys]: [Tensor; 2]| [xs.to_device(device), ys.to_device(device)];
        let [xs, ys] = on_device(batch(0));
        let mut graph = captured.then(|| GraphReplay::<2, 1>::new([&xs, &ys]).unwrap());
        let mut losses = Vec::new();
        for step in 0..WARM_UPS as usize + STEPS {
            drop(rate.fill_(0.1 / (step + 1) as f64));
            let [xs, ys] = batch(step);
            let [loss] = match &mut graph {
                Some(graph) => graph.run([&xs, &ys], |inputs| update(inputs, &rate)).unwrap(),
                None => update(&on_device([xs, ys]), &rate).unwrap(),
            };
            losses.push(loss.double_value(&[]));
        }
        (weight.detach().copy(), losses)
    }

    #[test]
    #[ignore = "needs a CUDA device and the feature `cuda`"]
    fn replayed_steps_are_the_steps_bit_for_bit() {
        let (eager, captured) = (trained(false), trained(true));
        assert_eq!(captured.1, eager.1);
        assert!(captured.0.equal(&eager.0), "{} {}", captured.0, eager.0);
        assert!(eager.1.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", eager.1);
    }

    #[test]
    fn without_a_gpu_there_is_nothing_to_capture() {
        let xs = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        let error = GraphReplay::<1, 1>::new([&xs]).err().unwrap().to_string();
        assert!(error.starts_with("a CUDA graph was refused: "), "{error}");
    }
}
