"""Writes grad-cam.json: the maps of three methods, by the package grad-cam (pytorch-grad-cam by Jacob Gildenblat).

    pip install grad-cam==1.5.7 torch==2.13.0 numpy==2.4.6 && python make.py > grad-cam.json

Each case has activations and gradients [channels, rows, columns], and the package's map of each method after its ReLU,
not scaled. Three things are not the package's default:

- EigenCAM is the package's `get_2d_projection_with_sign_correction`. `get_2d_projection`, which its `EigenCAM` calls,
  leaves the sign of the map to the singular value decomposition.
- For Grad-CAM++ the gradients are of the order of 10. The package adds 1e-6 to the denominator of equation 19, which the
  paper does not, and which is larger than the squares of gradients below 1e-3.
- The weights of Grad-CAM++ are those for max(activations, 0): the paper's maps are activated, and with negative sums the
  denominator may be close to 0.
"""

import json
import sys

import numpy as np
import torch
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection_with_sign_correction

random = np.random.default_rng(11)


class Head(torch.nn.Module):
    """A layer to hook, and a head of one hidden layer with different gradients at each place."""

    def __init__(self, channels, rows, columns):
        super().__init__()
        self.layer = torch.nn.Identity()
        draw = lambda *shape: torch.nn.Parameter(torch.from_numpy(random.normal(size=shape)))
        self.hidden, self.classes = draw(6, channels * rows * columns), draw(3, 6)
        self.classes.data *= 10

    def forward(self, maps):
        return torch.relu(self.layer(maps).flatten(1) @ self.hidden.T) @ self.classes.T


def case(name, maps):
    maps = torch.from_numpy(maps[None]).requires_grad_(True)
    network = Head(*maps.shape[1:]).double()
    layers = [network.layer]
    found = {}
    for method, cam in (("gradcam", GradCAM(network, layers)), ("gradcam++", GradCAMPlusPlus(network, layers))):
        cam(maps, targets=None)
        recorded = cam.activations_and_grads
        activations, gradients = (kept[0].numpy() for kept in (recorded.activations, recorded.gradients))
        activated = np.maximum(activations, 0) if method == "gradcam++" else activations
        weights = cam.get_cam_weights(maps, network.layer, None, activated, gradients)
        found[method] = (weights[:, :, None, None] * activations).sum(axis=1)[0]
    found["eigen"] = get_2d_projection_with_sign_correction(activations)[0]
    return {
        "name": name,
        "activations": activations[0].tolist(),
        "gradients": gradients[0].tolist(),
        "maps": {method: np.maximum(np.float64(found[method]), 0).tolist() for method in found},
    }


def blob(rows, columns, row, column):
    y, x = np.mgrid[:rows, :columns]
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2)


cases = [
    case("activated", np.maximum(random.normal(size=(4, 5, 5)), 0)),
    case("not activated", random.normal(size=(3, 4, 6))),
    case("one place stands out", np.stack([blob(6, 6, 1, 4) * k for k in (1.0, 2.0, 0.5)]) + 0.01 * random.random((3, 6, 6))),
    case("one place is dark", 1.0 - np.stack([blob(6, 6, 3, 2) * k for k in (1.0, 0.5)])),
]
json.dump(cases, sys.stdout, separators=(",", ":"))
print()
