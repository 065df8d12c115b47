"""Takes weights from timm and Keras to `xception` and back, and says how far every answer is from the original's.

    python check.py XCEPTION [PRESET ...]

For each network, with weights and statistics drawn at random and an image of noise in float32:

  in        a state dict as the original writes it, through `xception import`: state dicts, checkpoints of a trainer, folders
            of the Hugging Face hub, shards, whole models of Keras, with and without a head
  back      our safetensors into a new network of timm, `load_state_dict(strict=True)`, and our folder by `local-dir:`
  torch     `xception export OUT.pt`, by `torch.jit.load`
  onnx      `xception export OUT.onnx`, by ONNX Runtime; also three images of another size
  prepared  the same with `--with-preprocessing`, by the program in docs/guide/weights.md and by `torch.jit.load`
  shipped   the images that scikit-image and scikit-learn ship, by `xception predict` and by the original's own
            preprocessing: timm's transform, Keras's `preprocess_input` of a squashed image

An answer may be 1e-4 off, relative to the original's logits; a probability of an image 1e-3. JPEG decoders differ by a
level or two, so JPEGs are decoded by Pillow first. The exit code is 1 when an answer is farther off or missing.
"""

import argparse
import contextlib
import copy
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ["KERAS_BACKEND"] = "torch"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import huggingface_hub
import keras
import numpy
import onnx
import onnxruntime
import PIL
import safetensors.torch
import skimage
import sklearn
import timm
import torch
from PIL import Image, ImageOps

CLASSES = 7
TOLERANCE = 1e-4
OF_IMAGES = 1e-3
NAMES = [f"kind {number}" for number in range(CLASSES)]
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


def noise(count, height, width):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def unsettle(tensors):
    """Draws statistics and scales that are not those of a new network, so that each of them matters."""
    draw = torch.Generator().manual_seed(2)
    for name, tensor in tensors:
        if tensor.dtype.is_floating_point and tensor.dim() == 1:
            noise = torch.rand(tensor.shape, generator=draw)
            positive = any(part in name for part in ("var", "gamma", "weight"))
            tensor.data.copy_(0.5 + noise if positive else 0.2 * (noise - 0.5))


def settle(norms, all_of_the_batch, train):
    """Gives the norms statistics of a batch, as training does. With others a signal that differs from image to image gets
    lost beside one that does not, and the answers would show little but rounding."""
    for norm in norms:
        norm.momentum = all_of_the_batch
    with torch.no_grad():
        train(smooth(8))


def spread(logits):
    """Factor and shift by which the logits of several images differ as a trained network's do: else every image would have
    nearly the same probabilities, and nothing could be told from them."""
    factor = 1 / float(logits.std(0).mean())
    return factor, -factor * logits.mean(0)


def smooth(count):
    """Images with more than noise in them."""
    return torch.nn.functional.interpolate(noise(count, 7, 7), (299, 299), mode="bicubic")


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
        norms = [module for module in self.model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        settle(norms, 1.0, lambda images: self.model.train()(images))
        self.model.eval()

    def files(self, folder):
        state = self.model.state_dict()
        torch.save(state, folder / "zip.pth")
        torch.save({"state_dict": state}, folder / "old.pth", _use_new_zipfile_serialization=False)
        safetensors.torch.save_file(state, folder / "timm.safetensors")
        torch.save(self.checkpoint(), folder / "checkpoint.pth")
        about = {"label_names": NAMES, "num_classes": CLASSES}
        timm.models.save_for_hf(self.model, folder / "hub", about, safe_serialization=True)
        shards = folder / "shards"
        shards.mkdir()
        huggingface_hub.save_torch_state_dict(state, shards, max_shard_size="20MB")
        whole = torch.nn.DataParallel(copy.deepcopy(self.model))
        torch.save(whole, folder / "whole.pth")
        index = "shards/model.safetensors.index.json"
        return ["zip.pth", "old.pth", "timm.safetensors", "checkpoint.pth", "whole.pth", "hub", "shards", index]

    def checkpoint(self):
        """What timm's trainer saves, from a compiled network on several GPUs, with a moving average beside it."""
        optimizer = torch.optim.SGD(self.model.parameters(), 0.1, momentum=0.9)
        state = {f"module._orig_mod.{name}": tensor for name, tensor in self.model.state_dict().items()}
        average = {name: tensor * 2 for name, tensor in self.model.state_dict().items()}
        arguments = argparse.Namespace(model=self.name, data_dir=pathlib.Path("/data"), lr=0.1)
        return {
            "epoch": 3,
            "arch": self.name,
            "state_dict_ema": average,
            "state_dict": state,
            "optimizer": optimizer.state_dict(),
            "version": 2,
            "args": arguments,
            "metric": numpy.float64(81.2),
        }

    def spread(self, folder):
        """A file of the network whose answers differ from image to image."""
        factor, shift = spread(self(smooth(8)))
        head = self.model.get_classifier()
        head.weight.data.mul_(factor)
        head.bias.data.mul_(factor).add_(torch.from_numpy(shift))
        safetensors.torch.save_file(self.model.state_dict(), folder / "spread.safetensors")
        return folder / "spread.safetensors"

    def probabilities(self, images):
        """Probabilities by timm's own evaluation transform."""
        config = timm.data.resolve_model_data_config(self.model)
        transform = timm.data.create_transform(**config, is_training=False)
        batch = torch.stack([transform(image) for image in images])
        return torch.from_numpy(self(batch)).softmax(-1).numpy()

    def __call__(self, images):
        with torch.no_grad():
            return self.model(images).numpy()

    def back(self, file, images):
        """The answer of a new network with our file."""
        other = timm.create_model(self.name, num_classes=CLASSES).eval()
        other.load_state_dict(safetensors.torch.load_file(file), strict=True)
        with torch.no_grad():
            return other(images).numpy()

    def from_folder(self, folder, images):
        """The answer of a network that timm makes of our folder."""
        other = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        with torch.no_grad():
            return other(images).numpy()


class Keras:
    """Keras's network, and both of its file formats."""

    def __init__(self):
        keras.utils.set_random_seed(0)
        self.model = self.sized((299, 299))
        unsettle((variable.path, variable.value) for variable in self.model.weights)
        norms = [layer for layer in self.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        settle(norms, 0.0, lambda images: self.model(images.permute(0, 2, 3, 1), training=True))

    def sized(self, size):
        """A new one for images of this size, under the layer names of a new session."""
        keras.backend.clear_session()
        return keras.applications.Xception(
            weights=None, classes=CLASSES, input_shape=(*size, 3), classifier_activation=None
        )

    def files(self, folder):
        self.model.save_weights(folder / "keras.weights.h5")
        self.model.save(folder / "keras.h5")
        self.model.save(folder / "keras.keras")
        # As the guides of Keras have it: the backbone is a layer, compiled and trained for a step.
        keras.backend.clear_session()
        base = keras.applications.Xception(weights=None, include_top=False, input_shape=(299, 299, 3))
        base.set_weights(self.model.get_weights()[:-2])
        inputs = keras.Input((299, 299, 3))
        features = keras.layers.GlobalAveragePooling2D()(base(inputs, training=False))
        logits = keras.layers.Dense(CLASSES)(keras.layers.Dropout(0.2)(features))
        nested = keras.Model(inputs, logits)
        nested.layers[-1].set_weights(self.model.get_weights()[-2:])
        nested.compile(optimizer="adam", loss="mse")
        nested.optimizer.build(nested.trainable_variables)
        nested.save(folder / "nested.keras")
        nested.save(folder / "nested.h5")
        return ["keras.weights.h5", "keras.h5", "keras.keras", "nested.keras", "nested.h5"]

    def spread(self, folder):
        """A file of the network whose answers differ from image to image."""
        factor, shift = spread(self(smooth(8)))
        kernel, bias = self.model.layers[-1].get_weights()
        self.model.layers[-1].set_weights([kernel * factor, bias * factor + shift])
        self.model.save(folder / "spread.keras")
        return folder / "spread.keras"

    def probabilities(self, images):
        """Probabilities of squashed images by Keras's own preprocessing."""
        squashed = [numpy.asarray(image.resize((299, 299), Image.BILINEAR), "f4") for image in images]
        batch = keras.applications.xception.preprocess_input(numpy.stack(squashed))
        logits = self(torch.from_numpy(batch).permute(0, 3, 1, 2))
        return torch.from_numpy(logits).softmax(-1).numpy()

    def __call__(self, images):
        model = self.model
        if tuple(images.shape[2:]) != (299, 299):
            model = self.sized(images.shape[2:])
            model.set_weights(self.model.get_weights())
        return model(images.permute(0, 2, 3, 1), training=False).detach().numpy()


def shipped(folder):
    """Images that two packages ship: portraits and landscapes, grey, with alpha, of few pixels. As PNG, and as they are."""
    places = [pathlib.Path(skimage.__file__).parent / "data"]
    places.append(pathlib.Path(sklearn.__file__).parent / "datasets/images")
    found = sorted(path for place in places for path in [*place.glob("*.png"), *place.glob("*.jpg")])
    for path in found:
        with Image.open(path) as image:
            # The deepest has 16 bits, of which Pillow keeps the lower ones.
            if image.mode.startswith("I"):
                continue
            decoded = folder / f"{path.stem}.png"
            image.convert("RGB").save(decoded)
        yield decoded


def predicted(weights, paths):
    """Our probabilities, in the order of the classes."""
    done = subprocess.run(
        [sys.argv[1], "predict", "--weights", weights, "--precision", "fp32", "--json"]
        + ["--top", str(CLASSES), *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [{entry["class"]: entry["probability"] for entry in row["top"]} for row in json.loads(done.stdout)]
    return numpy.array([[row[number] for number in range(CLASSES)] for row in rows])


def snippet():
    """The program in the guide that answers for one image."""
    guide = pathlib.Path(__file__).parents[2] / "docs/guide/weights.md"
    programs = [part.partition("```")[0] for part in guide.read_text().split("```python")[1:]]
    (found,) = (program for program in programs if "onnxruntime" in program)
    return found


def upright(path):
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def made(folder, paths):
    """A portrait, a landscape, a grey image, a narrow one, and one that is turned by its EXIF data."""
    image = Image.open(next(path for path in paths if path.stem == "astronaut"))
    images = {
        "portrait": image.crop((100, 0, 300, 500)),
        "landscape": image.crop((0, 50, 500, 333)),
        "grey": image.convert("L"),
        "narrow": image.crop((0, 0, 40, 512)),
    }
    for name, changed in images.items():
        changed.save(folder / f"{name}.png")
        yield folder / f"{name}.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    images["portrait"].save(folder / "turned.png", exif=exif)
    yield folder / "turned.png"


def prepared(ours, folder, paths):
    """Files that prepare images themselves, by the guide's program and by PyTorch; (way, distance, tolerance) each."""
    expected = predicted(ours, paths)
    yield f"{len(paths)} images, the guide's program", by_the_guide(ours, folder, paths, expected), OF_IMAGES
    yield f"{len(paths)} images, prepared, torch", by_torch(ours, folder, paths, expected), OF_IMAGES
    for interpolation in ("nearest", "bilinear", "bicubic", "lanczos"):
        for fit in ("crop", "squash"):
            other = folder / "other.safetensors"
            xception("import", ours, "--interpolation", interpolation, "--fit", fit, "--out", other)
            some = paths[::5]
            expected = predicted(other, some)
            away = max(by(other, folder, some, expected) for by in (by_the_guide, by_torch))
            yield f"{len(some)} images, {interpolation}, {fit}", away, OF_IMAGES


def by_the_guide(ours, folder, paths, expected):
    """The largest distance of the guide's program."""
    xception("export", "--weights", ours, "--with-preprocessing", "--out", folder / "mine.onnx")
    onnx.checker.check_model(str(folder / "mine.onnx"), full_check=True)
    away = []
    for path, row in zip(paths, expected):
        # The program names its files, so it runs where they are.
        shutil.copy(path, folder / "new.jpg")
        names = {"json": json, "numpy": numpy, "onnxruntime": onnxruntime, "PIL": PIL, "print": lambda _: None}
        with contextlib.chdir(folder):
            exec(snippet(), names)
        away.append(numpy.abs(names["probabilities"][0] - row).max())
    return float(max(away))


def by_torch(ours, folder, paths, expected):
    """The largest distance of the TorchScript file."""
    xception("export", "--weights", ours, "--with-preprocessing", "--out", folder / "mine.pt")
    module = torch.jit.load(str(folder / "mine.pt"))
    away = []
    for path, row in zip(paths, expected):
        with torch.no_grad():
            found = module(torch.from_numpy(numpy.array(upright(path)))[None])[0].numpy()
        away.append(numpy.abs(found - row).max())
    return float(max(away))


def check(preset, original, folder):
    """Every way of one network; (way, distance, tolerance) each."""
    images = noise(1, 299, 299)
    expected = original(images)
    for number, name in enumerate(original.files(folder)):
        ours = folder / f"ours-{number}.safetensors"
        xception("import", "--preset", preset, folder / name, "--out", ours)
        module = folder / f"{number}.pt"
        xception("export", "--weights", ours, "--out", module)
        with torch.no_grad():
            yield f"{name} in, torch", distance(torch.jit.load(str(module))(images), expected), TOLERANCE
        if hasattr(original, "back"):
            yield f"{name} in, back", distance(original.back(ours, images), expected), TOLERANCE
    if hasattr(original, "from_folder"):
        ours = folder / "ours.safetensors"
        xception("import", folder / "hub", "--out", ours)
        xception("export", "--weights", ours, "--format", "hub", "--out", folder / "out")
        found = original.from_folder(folder / "out", images)
        yield "hub in, hub out", distance(found, expected), TOLERANCE
        written = json.loads((folder / "out/config.json").read_text())["label_names"]
        yield "names of the classes", float(written != NAMES), 0.0
        xception("import", "--take", "ema", folder / "checkpoint.pth", "--out", folder / "ema.safetensors")
        average = safetensors.torch.load_file(folder / "ema.safetensors")
        own = {name: 2 * tensor for name, tensor in original.model.state_dict().items()}
        yield "the average", max(float((average[name] - own[name]).abs().max()) for name in average), 0.0
    graph = folder / "graph.onnx"
    xception("export", "--weights", ours, "--out", graph)
    onnx.checker.check_model(str(graph), full_check=True)
    session = onnxruntime.InferenceSession(str(graph))
    run = lambda x: session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    yield "onnx", distance(run(images), expected), TOLERANCE
    others = noise(3, 96, 83)
    yield "onnx, 3x96x83", distance(run(others), original(others)), TOLERANCE
    xception("import", "--preset", preset, original.spread(folder), "--out", ours)
    paths = list(shipped(folder))
    paths += made(folder, paths)
    theirs = original.probabilities([upright(path) for path in paths])
    away = numpy.abs(predicted(ours, paths) - theirs).max()
    if numpy.ptp(theirs, axis=0).max() < 0.05:
        raise SystemExit(f"the images of {preset} hardly differ in their probabilities: nothing is compared")
    yield f"{len(paths)} images", float(away), OF_IMAGES
    yield from prepared(ours, folder, paths)


def main():
    wrong = 0
    wanted = sys.argv[2:] or [*TIMM, "xception-keras"]
    originals = [(preset, lambda preset=preset: Timm(preset)) for preset in TIMM]
    originals.append(("xception-keras", Keras))
    for preset, original in originals:
        if preset not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for way, found, tolerance in check(preset, original(), pathlib.Path(folder)):
                fits = found <= tolerance
                wrong += not fits
                verdict = "" if fits else "  TOO FAR"
                print(f"{preset:15} {way:42} {found:.1e}{verdict}", flush=True)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
