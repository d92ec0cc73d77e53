"""A click as a caller sends it: the columns of the click log that the caller knows.

Texts are bounded, so that no request can fill memory; an empty text that may be null is null.
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

PRICE_LIMIT = 10**15  # micros: a billion units of the currency for one click


def _null_if_empty(value: object) -> object:
    return None if value == "" else value


_NO_NUL = r"^[^\x00]*$"  # stores and sinks differ in what they make of a NUL

Id = Annotated[str, Field(min_length=1, max_length=128, pattern=_NO_NUL)]
OptionalId = Annotated[
    Annotated[str, Field(max_length=256, pattern=_NO_NUL)] | None, BeforeValidator(_null_if_empty)
]
OptionalText = Annotated[
    Annotated[str, Field(max_length=2048, pattern=_NO_NUL)] | None, BeforeValidator(_null_if_empty)
]


class Click(BaseModel):
    """One billed ad click, before the live store stamps it.

    `time` (µs since the epoch, UTC) stands for the store's clock; only a service that was started
    for simulated time takes it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    click_id: Id
    user_id: OptionalId = None
    session_id: OptionalId = None
    ip: OptionalId = None
    user_agent: OptionalText = None
    device: Id
    logged_in: bool
    advertiser_id: Id
    campaign_id: Id
    ad_id: OptionalId = None
    query: OptionalText = None
    price_micros: int = Field(ge=0, le=PRICE_LIMIT)
    time: int | None = Field(default=None, ge=0)
