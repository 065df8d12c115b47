"""A forward pass of ONNX Runtime or OpenVINO on the exported network.

Neither imports PyTorch, so the peak of memory is the runtime's own.
"""

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy


def prepare(arguments: Namespace) -> Callable[[], object]:
    """The step to time; exports the network first if no worker has yet."""
    if not os.path.exists(arguments.onnx):
        script = Path(__file__).with_name("export_onnx.py")
        wanted = [arguments.network, str(arguments.batch_size), arguments.onnx]
        subprocess.run([sys.executable, str(script), *wanted], check=True)
    pixels = 299 if arguments.network == "xception" else 32
    shape = (arguments.batch_size, 3, pixels, pixels)
    images = numpy.random.default_rng(0).standard_normal(shape, dtype=numpy.float32)
    if arguments.runtime == "openvino":
        return openvino_step(images, arguments)
    return onnxruntime_step(images, arguments)


def onnxruntime_step(images: numpy.ndarray, arguments: Namespace) -> Callable[[], object]:
    """ONNX Runtime on its CPU provider, all optimisations on."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(
        arguments.onnx, options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"input": images})


def openvino_step(images: numpy.ndarray, arguments: Namespace) -> Callable[[], object]:
    """OpenVINO on its CPU plugin, one stream with all threads; the input is shared, not copied."""
    import openvino

    compiled = openvino.Core().compile_model(
        arguments.onnx,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[arguments.precision],
            "INFERENCE_NUM_THREADS": arguments.threads,
        },
    )
    request = compiled.create_infer_request()
    # A shared tensor does not keep the array alive; the step does.
    tensor = openvino.Tensor(images, shared_memory=True)

    def step(kept: numpy.ndarray = images) -> object:
        request.set_input_tensor(tensor)
        return request.infer()

    return step


def versions(runtime: str) -> dict[str, str]:
    """What the timing depends on."""
    from importlib.metadata import version

    return {runtime: version(runtime), "onnx": version("onnx")}
