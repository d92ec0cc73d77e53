"""What a version must reach on a scenario, as data: the `[bounds]` of its TOML.

A bound that is left out is not held, as that on robots that no counter tells from people.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from simulator.settings import Settings

Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Bounds(Settings):
    """Bounds of `replay check`, all shares.

    `detection` is the least share of each robot kind's clicks that must be called invalid,
    `human_fpr` the largest of people's, in all and, as `slice_human_fpr`, in every slice with at
    least `slice_clicks` clicks by people. `repair_recall` and `repair_precision` are the least of a
    replay of the incidents: of the clicks that they made wrong, the share that is then decided
    truly, and of the changes, the share that is true. `wrongly_credited` is the largest share of
    the billed money that a run may credit for people's clicks. `fast` scenarios are those of
    `--fast`.
    """

    fast: bool = False
    detection: dict[str, Rate] = Field(default_factory=dict)
    human_fpr: Rate | None = None
    slice_human_fpr: Rate | None = None
    slice_clicks: int = Field(default=1_000, ge=1)
    repair_recall: Rate | None = None
    repair_precision: Rate | None = None
    wrongly_credited: Rate | None = None

    @model_validator(mode="after")
    def _hold_something(self) -> Self:
        given = (
            self.human_fpr,
            self.slice_human_fpr,
            self.repair_recall,
            self.repair_precision,
            self.wrongly_credited,
        )
        if not self.detection and all(bound is None for bound in given):
            raise ValueError("no bound is given; give one, or leave [bounds] out")
        return self

    @property
    def on_repair(self) -> bool:
        """Whether a bound is on what a run repairs."""
        return self.repair_recall is not None or self.repair_precision is not None
