"""What every architecture is: a module from raw facts and reals to one logit per click."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from scorer.models.inputs import Inputs
from scorer.models.plain import Forward
from scorer.spec import Spec

Parameters = Mapping[str, int | float | list[int]]


class Architecture(nn.Module):
    """A network over the shared first layer; the logit is that of being robotic."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.inputs = Inputs(spec)

    @abstractmethod
    def forward(self, facts: Tensor, reals: Tensor) -> Tensor:
        """Return logits (B,) of (F, B) int32 facts and (R, B) float32 reals."""

    @abstractmethod
    def plain(self) -> Forward:
        """Return `forward` on float64 arrays of the same shapes, as it is now; see `plain`."""

    def penalised(self) -> tuple[Tensor, ...]:
        """Return the weights that L2 holds down."""
        return ()

    def parameters_used(self) -> Parameters:
        """Return what must be given to build the same module again, beside the spec."""
        return {}
