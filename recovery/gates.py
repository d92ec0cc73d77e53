"""Safety gates: what must hold before a correction is published."""

from pydantic import BaseModel, ConfigDict


class Judged(BaseModel):
    """A gate's answer: pass, object or overridden; `figure` is None where it is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    meaning: str
    figure: float | None
    bound: float
    verdict: str
