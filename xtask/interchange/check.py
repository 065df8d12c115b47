"""Takes weights from timm and Keras to `xception` and back, and says how far every answer is from the original's.

    python check.py XCEPTION [PRESET ...]

For each network, with weights and statistics drawn at random and an image of noise in float32:

  in     a state dict as the original writes it, through `xception import`
  back   our safetensors into a new network of timm, `load_state_dict(strict=True)`
  torch  `xception export OUT.pt`, by `torch.jit.load`
  onnx   `xception export OUT.onnx`, by ONNX Runtime; also three images of another size

An answer may be 1e-4 off, relative to the original's logits. The exit code is 1 when one is farther off or missing.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["KERAS_BACKEND"] = "torch"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy
import onnx
import onnxruntime
import safetensors.torch
import timm
import torch

CLASSES = 7
TOLERANCE = 1e-4
TIMM = {
    "xception": "legacy_xception",
    "xception41": "xception41",
    "xception65": "xception65",
    "xception71": "xception71",
    "xception41p": "xception41p",
    "xception65p": "xception65p",
}


def xception(*arguments):
    """Runs our program, and ends with what it said if it fails."""
    done = subprocess.run([sys.argv[1], *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"xception {' '.join(map(str, arguments))}\n{done.stderr}")


def images(count, height, width):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def unsettle(tensors):
    """Draws statistics and scales that are not those of a new network, so that each of them matters."""
    draw = torch.Generator().manual_seed(2)
    for name, tensor in tensors:
        if tensor.dtype.is_floating_point and tensor.dim() == 1:
            noise = torch.rand(tensor.shape, generator=draw)
            positive = any(part in name for part in ("var", "gamma", "weight"))
            tensor.data.copy_(0.5 + noise if positive else 0.2 * (noise - 0.5))


def distance(ours, original):
    ours, original = numpy.asarray(ours, numpy.float64), numpy.asarray(original, numpy.float64)
    return float(numpy.linalg.norm(ours - original) / numpy.linalg.norm(original))


class Timm:
    """A network of timm."""

    def __init__(self, preset):
        torch.manual_seed(0)
        self.model = timm.create_model(TIMM[preset], num_classes=CLASSES).eval()
        self.name = TIMM[preset]
        unsettle(self.model.state_dict().items())

    def files(self, folder):
        state = self.model.state_dict()
        torch.save(state, folder / "zip.pth")
        torch.save({"state_dict": state}, folder / "old.pth", _use_new_zipfile_serialization=False)
        safetensors.torch.save_file(state, folder / "timm.safetensors")
        return ["zip.pth", "old.pth", "timm.safetensors"]

    def __call__(self, images):
        with torch.no_grad():
            return self.model(images).numpy()

    def back(self, file, images):
        """The answer of a new network with our file."""
        other = timm.create_model(self.name, num_classes=CLASSES).eval()
        other.load_state_dict(safetensors.torch.load_file(file), strict=True)
        with torch.no_grad():
            return other(images).numpy()


class Keras:
    """Keras's network, and both of its file formats."""

    def __init__(self):
        keras.utils.set_random_seed(0)
        self.model = self.sized((299, 299))
        unsettle((variable.path, variable.value) for variable in self.model.weights)

    def sized(self, size):
        """A new one for images of this size, under the layer names of a new session."""
        keras.backend.clear_session()
        return keras.applications.Xception(
            weights=None, classes=CLASSES, input_shape=(*size, 3), classifier_activation=None
        )

    def files(self, folder):
        self.model.save_weights(folder / "keras.weights.h5")
        self.model.save(folder / "keras.h5")
        return ["keras.weights.h5", "keras.h5"]

    def __call__(self, images):
        model = self.model
        if tuple(images.shape[2:]) != (299, 299):
            model = self.sized(images.shape[2:])
            model.set_weights(self.model.get_weights())
        return model(images.permute(0, 2, 3, 1), training=False).detach().numpy()


def check(preset, original, folder):
    """Every way of one network; (way, distance) each."""
    images = images(1, 299, 299)
    expected = original(images)
    for number, name in enumerate(original.files(folder)):
        ours = folder / f"ours-{number}.safetensors"
        xception("import", "--preset", preset, folder / name, "--out", ours)
        module = folder / f"{number}.pt"
        xception("export", "--weights", ours, "--out", module)
        with torch.no_grad():
            yield f"{name} in, torch", distance(torch.jit.load(str(module))(images), expected)
        if hasattr(original, "back"):
            yield f"{name} in, back", distance(original.back(ours, images), expected)
    graph = folder / "graph.onnx"
    xception("export", "--weights", ours, "--out", graph)
    onnx.checker.check_model(str(graph), full_check=True)
    session = onnxruntime.InferenceSession(str(graph))
    run = lambda x: session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    yield "onnx", distance(run(images), expected)
    others = images(3, 96, 83)
    yield "onnx, 3x96x83", distance(run(others), original(others))


def main():
    wrong = 0
    wanted = sys.argv[2:] or [*TIMM, "xception-keras"]
    originals = [(preset, lambda preset=preset: Timm(preset)) for preset in TIMM]
    originals.append(("xception-keras", Keras))
    for preset, original in originals:
        if preset not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for way, found in check(preset, original(), pathlib.Path(folder)):
                fits = found <= TOLERANCE
                wrong += not fits
                verdict = "" if fits else "  TOO FAR"
                print(f"{preset:15} {way:28} {found:.1e}{verdict}", flush=True)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
