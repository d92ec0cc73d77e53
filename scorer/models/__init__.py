"""The architectures, one file each, and the first layer that they share."""

from collections.abc import Mapping

from scorer.errors import BadInput, nearest
from scorer.models.architecture import Architecture, Parameters
from scorer.models.dcn import Dcn
from scorer.models.logistic import Logistic
from scorer.models.mlp import Mlp
from scorer.models.velocity import Velocity
from scorer.spec import Spec

__all__ = ["ARCHITECTURES", "Architecture", "Parameters", "build", "name_of"]

ARCHITECTURES: Mapping[str, type[Architecture]] = {
    "mlp": Mlp,
    "dcn": Dcn,
    "logistic": Logistic,
    "velocity": Velocity,
}


def build(name: str, spec: Spec, parameters: Parameters | None = None) -> Architecture:
    """Build a module with fresh weights; raise BadInput where there is no such architecture."""
    if name not in ARCHITECTURES:
        hint = nearest(name, ARCHITECTURES, f"Known: {', '.join(ARCHITECTURES)}.")
        raise BadInput(f"no architecture named {name!r}. {hint}")
    return ARCHITECTURES[name](spec, **(parameters or {}))


def name_of(module: Architecture) -> str:
    """Return the name under which a module's class is listed."""
    return next(name for name, kind in ARCHITECTURES.items() if kind is type(module))
