"""A rule over click velocities with a fitted score: the baseline that a person could write down.

    v = mean over the spec's click counts k of  (log1p(count_k) − mean_k) / scale_k
    probability = 1 / (1 + exp(−(softplus(a) · v + b)))

Two numbers are fitted, a and b. The factor of v is never negative, so that more clicks never make
a click look less robotic.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from scorer.errors import BadSpec
from scorer.models.architecture import Architecture
from scorer.models.plain import Forward, array, plain_inputs
from scorer.spec import Spec


class Velocity(Architecture):
    """The mean standardised log count of clicks over entities and windows."""

    counts: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if not self.inputs.clicks:
            raise BadSpec(
                "velocity needs a spec with click counts; choose another --arch or --spec"
            )
        counts = torch.zeros(self.inputs.width, 1)  # (W, 1)
        counts[list(self.inputs.clicks)] = 1 / len(self.inputs.clicks)
        self.register_buffer("counts", counts, persistent=False)
        self.a = nn.Parameter(torch.zeros(1))
        self.b = nn.Parameter(torch.zeros(1))

    def forward(self, facts: Tensor, reals: Tensor) -> Tensor:
        """Return logits (B,) of (F, B) int32 facts and (R, B) float32 reals."""
        v = (self.inputs(facts, reals) @ self.counts).squeeze(1)  # (B, W) @ (W, 1) -> (B,)
        logit: Tensor = softplus(self.a) * v + self.b  # (B,)
        return logit

    def plain(self) -> Forward:
        """Return `forward` in numpy."""
        inputs, counts = plain_inputs(self.inputs), array(self.counts)
        a, b = array(softplus(self.a)), array(self.b)
        return lambda facts, reals: a * (inputs(facts, reals) @ counts).ravel() + b  # -> (B,)
