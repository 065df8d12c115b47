"""Runs an ONNX file on inputs that `xception export --verify` has written: `python verify.py MODEL FOLDER`.

The folder holds `inputs.json`, a list of shapes and types, and the numbers of each input in a file named after its place. The
answers go to the standard output as JSON.
"""

import json
import pathlib
import sys

import numpy
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(name,) = (entry.name for entry in session.get_inputs())
folder = pathlib.Path(sys.argv[2])
answers = []
for place, (shape, kind) in enumerate(json.loads((folder / "inputs.json").read_text())):
    numbers = numpy.fromfile(folder / str(place), kind).reshape(shape)
    answers.append(session.run(None, {name: numbers})[0][0].tolist())
json.dump(answers, sys.stdout)
