"""The networks without torch's overhead: numpy in float64, for clicks that come one by one.

Torch takes a quarter of a millisecond for one click, most of it to find its way. Here a click takes
a tenth of that. In float64 nothing is lost: what differs from torch's float32 is torch's rounding.

Every click is its own vector in each product (a stack of vectors, not a matrix), so that its bits
do not depend on how many clicks stand beside it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from scorer.models.inputs import CUT, Inputs

Floats = NDArray[np.float64]
Forward = Callable[[Floats, Floats], Floats]


def array(tensor: Tensor) -> Floats:
    """Return a tensor's values."""
    return tensor.detach().cpu().numpy().astype(np.float64)


def product(layer: nn.Linear) -> Callable[[Floats], Floats]:
    """Return a linear layer without its bias: (B, 1, in) -> (B, 1, out)."""
    weight = np.ascontiguousarray(array(layer.weight).T)
    return lambda x: x @ weight


def affine(layer: nn.Linear) -> Callable[[Floats], Floats]:
    """Return a linear layer: (B, 1, in) -> (B, 1, out)."""
    weight, bias = np.ascontiguousarray(array(layer.weight).T), array(layer.bias)

    def forward(x: Floats) -> Floats:
        x = x @ weight
        x += bias
        return x

    return forward


def relu(x: Floats) -> Floats:
    """Cut what is negative, in place."""
    return np.maximum(x, 0, out=x)


def plain_inputs(inputs: Inputs) -> Forward:
    """Return the first layer: (F, B) facts and (R, B) reals -> (B, 1, W); see `Inputs`."""
    rated, shorter, longer = (
        index.cpu().numpy() for index in (inputs.rated, inputs.shorter, inputs.longer)
    )
    seconds, quotient, mean, gain = (
        array(values) for values in (inputs.seconds, inputs.quotient, inputs.mean, inputs.gain)
    )
    facts_only = np.arange(inputs.shape[0])
    taken = np.concatenate((facts_only, rated, shorter))
    scale = np.concatenate((np.ones((len(facts_only), 1)), 1 / seconds, quotient))
    logs, ratios = len(taken), len(taken) - len(shorter)
    profile = logs + inputs.times

    def forward(facts: Floats, reals: Floats) -> Floats:
        z = np.empty((inputs.width, facts.shape[1]))
        np.multiply(facts.take(taken, 0), scale, out=z[:logs])
        z[ratios:logs] /= np.maximum(facts.take(longer, 0), 1)
        np.log1p(z[:logs], out=z[:logs])
        z[logs:] = reals
        last = z[profile:]
        np.copysign(np.log1p(np.abs(last)), last, out=last)
        z -= mean
        z *= gain
        np.maximum(np.minimum(z, CUT, out=z), -CUT, out=z)
        return np.ascontiguousarray(z.T)[:, None]

    return forward
