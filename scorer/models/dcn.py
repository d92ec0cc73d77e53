"""Deep and cross network, version 2: explicit products of inputs beside a deep part.

A cross layer multiplies what it has with the inputs, so l layers hold every product of up to l + 1
inputs; their matrices have low rank, which costs half of a full one's parameters at rank d / 4:

    x_{l+1} = x_0 ⊙ (U_l (V_l x_l) + b_l) + x_l

Source: R. Wang et al., "DCN V2: Improved deep & cross network and practical lessons for web-scale
learning to rank systems", The Web Conference 2021, equations 1 and 2, parallel structure.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from scorer.models.architecture import Architecture, Parameters
from scorer.models.plain import Floats, Forward, affine, plain_inputs, product, relu
from scorer.spec import Spec

START = 0.02  # the standard deviation of U's first weights: products of inputs begin small


class Cross(nn.Module):
    """One cross layer of low rank; d is `width`."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)  # V
        self.up = nn.Linear(rank, width)  # U and b
        nn.init.normal_(self.up.weight, std=START)
        nn.init.zeros_(self.up.bias)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """Return the next x (B, d) of the inputs x0 (B, d) and the present x (B, d)."""
        crossed: Tensor = x0 * self.up(self.down(x)) + x  # (B, d) -> (B, rank) -> (B, d)
        return crossed

    def plain(self) -> Forward:
        """Return `forward` in numpy, on (B, 1, d) stacks."""
        down, up = product(self.down), affine(self.up)

        def forward(x0: Floats, x: Floats) -> Floats:
            z = up(down(x))
            z *= x0
            z += x
            return z

        return forward


class Dcn(Architecture):
    """Cross layers beside inputs → 128 → 64, both ends into one logit."""

    def __init__(
        self,
        spec: Spec,
        hidden: Sequence[int] = (128, 64),
        layers: int = 2,
        rank: int | None = None,
    ) -> None:
        super().__init__(spec)
        width = self.inputs.width
        first, second = hidden
        self.rank = max(1, width // 4) if rank is None else rank
        self.cross = nn.ModuleList(Cross(width, self.rank) for _ in range(layers))
        self.first = nn.Linear(width, first)
        self.second = nn.Linear(first, second)
        self.last = nn.Linear(width + second, 1)

    def forward(self, facts: Tensor, reals: Tensor) -> Tensor:
        """Return logits (B,) of (F, B) int32 facts and (R, B) float32 reals."""
        x0 = x = self.inputs(facts, reals)  # (F, B), (R, B) -> (B, W)
        for cross in self.cross:
            x = cross(x0, x)  # (B, W)
        deep = torch.relu(self.second(torch.relu(self.first(x0))))  # (B, 128) -> (B, 64)
        logit: Tensor = self.last(torch.cat([x, deep], 1)).squeeze(1)  # (B, W + 64) -> (B,)
        return logit

    def plain(self) -> Forward:
        """Return `forward` in numpy."""
        inputs = plain_inputs(self.inputs)
        crosses = [cross.plain() for cross in self._crosses()]
        first, second, last = map(affine, (self.first, self.second, self.last))

        def forward(facts: Floats, reals: Floats) -> Floats:
            x0 = x = inputs(facts, reals)  # (F, B), (R, B) -> (B, 1, W)
            for cross in crosses:
                x = cross(x0, x)  # (B, 1, W)
            deep = relu(second(relu(first(x0))))  # (B, 1, 64)
            return last(np.concatenate((x, deep), axis=2)).ravel()  # (B, 1, W + 64) -> (B,)

        return forward

    def penalised(self) -> tuple[Tensor, ...]:
        """Return the weights of the cross layers and of the intermediate ones."""
        crosses = (w for c in self._crosses() for w in (c.down.weight, c.up.weight))
        return (*crosses, self.first.weight, self.second.weight)

    def parameters_used(self) -> Parameters:
        """Return the widths of the hidden layers, the number of cross layers and their rank."""
        hidden = [self.first.out_features, self.second.out_features]
        return {"hidden": hidden, "layers": len(self.cross), "rank": self.rank}

    def _crosses(self) -> list[Cross]:
        return [cross for cross in self.cross if isinstance(cross, Cross)]
