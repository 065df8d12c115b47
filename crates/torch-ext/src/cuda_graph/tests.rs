//! Without a GPU: how a graph is refused. With one: that a replay is the work, and that a failed capture leaves no trace.

use tch::{Kind, Tensor};

use super::*;

#[test]
fn a_cpu_has_no_graphs() {
    let error = CudaGraph::new(Device::Cpu).unwrap_err().to_string();
    let expected = if cfg!(feature = "cuda") {
        "a CUDA graph was refused: expected a CUDA device, got Cpu"
    } else {
        "a CUDA graph was refused: this program was built without the feature `cuda`; build it with \
         `--features cuda`, against a libtorch with CUDA"
    };
    assert_eq!(error, expected);
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    if cfg!(feature = "cuda") {
        let error = CudaGraph::new(Device::Cuda(1_000_000)).unwrap_err().to_string();
        assert!(error.contains("there is no CUDA device 1000000"), "{error}");
    }
}

#[test]
fn graphs_are_promised_only_where_one_can_be_made() {
    assert_eq!(cuda_graphs_supported(), CudaGraph::new(Device::Cuda(0)).is_ok());
}

/// Three numbers on the GPU and an empty graph.
fn gpu() -> (Tensor, CudaGraph) {
    let device = Device::Cuda(0);
    (Tensor::from_slice(&[1.0_f32, 2.0, 3.0]).to_device(device), CudaGraph::new(device).unwrap())
}

fn numbers(xs: &Tensor) -> Vec<f32> {
    xs.try_into().unwrap()
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_replay_is_the_work_on_new_inputs() {
    let (mut xs, mut graph) = gpu();
    let total = Tensor::zeros_like(&xs);
    let work = || -> Result<Tensor, Error> {
        let ys = &xs * 2.0;
        drop(total.shallow_clone().g_add_(&ys));
        Ok(ys)
    };
    assert_eq!(numbers(&graph.warm_up(work).unwrap()), [2.0, 4.0, 6.0]);
    let ys = graph.capture(work).unwrap();
    assert_eq!(numbers(&total), [2.0, 4.0, 6.0], "recording runs nothing");
    xs.copy_(&Tensor::from_slice(&[10.0_f32, 20.0, 30.0]));
    graph.replay().unwrap();
    graph.replay().unwrap();
    assert_eq!(numbers(&ys), [20.0, 40.0, 60.0]);
    assert_eq!(numbers(&total), [42.0, 84.0, 126.0]);
}

#[test]
#[ignore = "needs a CUDA device"]
fn an_error_of_the_work_comes_back_and_the_graph_can_be_captured_again() {
    let (xs, mut graph) = gpu();
    let work = || -> Result<Tensor, Error> { Ok(&xs + 1.0) };
    drop(graph.warm_up(work).unwrap());
    let failure = Error { operation: "the work", message: "it had enough".to_string() };
    let failing = || work().and(Err::<Tensor, _>(failure.clone()));
    assert_eq!(graph.capture(failing).unwrap_err(), failure);
    assert!(graph.replay().unwrap_err().message.contains("nothing has been captured yet"));
    assert_eq!(numbers(&(&xs * 1.0)), [1.0, 2.0, 3.0], "the device works on");
    let ys = graph.capture(work).unwrap();
    graph.replay().unwrap();
    assert_eq!(numbers(&ys), [2.0, 3.0, 4.0]);
}

#[test]
#[ignore = "needs a CUDA device"]
fn waiting_for_the_device_ends_the_capture_with_an_error() {
    let (xs, mut graph) = gpu();
    let work = || -> Result<f64, tch::TchError> { xs.sum(Kind::Float).f_double_value(&[]) };
    let in_words =
        |error: tch::TchError| Error { operation: "reading", message: error.to_string() };
    assert_eq!(graph.warm_up(|| work().map_err(in_words)).unwrap(), 6.0);
    let error = graph.capture(|| work().map_err(in_words)).unwrap_err();
    assert_eq!(error.operation, "reading", "{error}");
    assert_eq!(numbers(&(&xs * 1.0)), [1.0, 2.0, 3.0], "the device works on");
    let drawn = Tensor::rand([3], (Kind::Float, Device::Cuda(0)));
    assert!(numbers(&drawn).iter().all(|number| (0.0..1.0).contains(number)), "{drawn}");
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_capture_before_a_warm_up_is_refused() {
    let (xs, mut graph) = gpu();
    let error = graph.capture(|| Ok::<_, Error>(&xs + 1.0)).unwrap_err();
    assert_eq!(error.message, "expected a warm-up run before the recording, got none");
}
