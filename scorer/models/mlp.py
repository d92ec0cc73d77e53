"""Three fully connected layers, ReLU between them, L2 on the intermediate ones."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scorer.models.architecture import Architecture, Parameters
from scorer.models.plain import Floats, Forward, affine, plain_inputs, relu
from scorer.spec import Spec


class Mlp(Architecture):
    """The network of the method: inputs → 128 → 64 → 1."""

    def __init__(self, spec: Spec, hidden: Sequence[int] = (128, 64)) -> None:
        super().__init__(spec)
        first, second = hidden
        self.first = nn.Linear(self.inputs.width, first)
        self.second = nn.Linear(first, second)
        self.last = nn.Linear(second, 1)

    def forward(self, facts: Tensor, reals: Tensor) -> Tensor:
        """Return logits (B,) of (F, B) int32 facts and (R, B) float32 reals."""
        x = self.inputs(facts, reals)  # (F, B), (R, B) -> (B, W)
        x = torch.relu(self.first(x))  # (B, 128)
        x = torch.relu(self.second(x))  # (B, 64)
        logit: Tensor = self.last(x).squeeze(1)  # (B, 1) -> (B,)
        return logit

    def plain(self) -> Forward:
        """Return `forward` in numpy."""
        inputs = plain_inputs(self.inputs)
        first, second, last = map(affine, (self.first, self.second, self.last))

        def forward(facts: Floats, reals: Floats) -> Floats:
            x = inputs(facts, reals)  # (F, B), (R, B) -> (B, 1, W)
            x = relu(first(x))  # (B, 1, 128)
            x = relu(second(x))  # (B, 1, 64)
            return last(x).ravel()  # (B, 1, 1) -> (B,)

        return forward

    def penalised(self) -> tuple[Tensor, ...]:
        """Return the weights of the intermediate layers."""
        return self.first.weight, self.second.weight

    def parameters_used(self) -> Parameters:
        """Return the widths of the hidden layers."""
        return {"hidden": [self.first.out_features, self.second.out_features]}
