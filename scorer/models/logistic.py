"""Logistic regression over the shared inputs: the plainest model that is fitted as a whole."""

from torch import Tensor, nn

from scorer.models.architecture import Architecture
from scorer.models.plain import Forward, affine, plain_inputs
from scorer.spec import Spec


class Logistic(Architecture):
    """One weight per input, and L2 on them."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.last = nn.Linear(self.inputs.width, 1)

    def forward(self, facts: Tensor, reals: Tensor) -> Tensor:
        """Return logits (B,) of (F, B) int32 facts and (R, B) float32 reals."""
        x = self.inputs(facts, reals)  # (F, B), (R, B) -> (B, W)
        logit: Tensor = self.last(x).squeeze(1)  # (B, 1) -> (B,)
        return logit

    def plain(self) -> Forward:
        """Return `forward` in numpy."""
        inputs, last = plain_inputs(self.inputs), affine(self.last)
        return lambda facts, reals: last(inputs(facts, reals)).ravel()  # -> (B,)

    def penalised(self) -> tuple[Tensor, ...]:
        """Return the weights."""
        return (self.last.weight,)
