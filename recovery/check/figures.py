"""A figure beside its bound, as frozen data."""

from collections.abc import Iterator
from dataclasses import dataclass

from scorer.metrics import Share
from simulator.bounds import Bounds
from simulator.judge import Judged, Repair


@dataclass(frozen=True)
class Figure:
    """A share that must be at least, or at most, its bound.

    `key` is the bound's in TOML, below `bounds`; `of` says of what the share is, and `where` in
    which slice. A share that is unknown, of none, breaks every bound: nothing shows that it holds.
    """

    key: str
    of: str
    share: Share
    bound: float
    least: bool
    where: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bound holds; a figure equal to it does."""
        if self.share.rate is None:
            return False
        return self.share.rate >= self.bound if self.least else self.share.rate <= self.bound


def figures(bounds: Bounds, judged: Judged, repair: Repair | None) -> tuple[Figure, ...]:
    """Return a figure for each bound; `repair` where one is on what a run repairs.

    Of the slices, the figure is that of the worst.
    """
    return (*_of_decisions(bounds, judged), *_of_repair(bounds, judged, repair))


def _of_decisions(bounds: Bounds, judged: Judged) -> Iterator[Figure]:
    found = judged.detection()
    for kind, least in bounds.detection.items():
        share = found.get(kind, Share(0, 0))
        yield Figure(f"detection.{kind}", f"clicks of {kind} robots", share, least, least=True)
    if bounds.human_fpr is not None:
        of = "people's clicks"
        yield Figure("human_fpr", of, judged.human_fpr(), bounds.human_fpr, least=False)
    if bounds.slice_human_fpr is not None:
        where, share = _worst(judged.human_fpr_by_slice(), bounds.slice_clicks)
        of, most = "people's clicks", bounds.slice_human_fpr
        yield Figure("slice_human_fpr", of, share, most, least=False, where=where)


def _worst(slices: dict[str, Share], least_clicks: int) -> tuple[str, Share]:
    """Return the slice with the highest share among those that have so many clicks."""
    large = {key: share for key, share in slices.items() if share.whole >= least_clicks}
    if not large:
        return f"no slice has {least_clicks:,}", Share(0, 0)
    return max(large.items(), key=lambda item: (item[1].rate or 0, item[0]))


def _of_repair(bounds: Bounds, judged: Judged, repair: Repair | None) -> Iterator[Figure]:
    if repair is not None and bounds.repair_recall is not None:
        of = "clicks that the incident made wrong"
        yield Figure("repair_recall", of, repair.recall, bounds.repair_recall, least=True)
    if repair is not None and bounds.repair_precision is not None:
        of = "changes of the incident's clicks"
        yield Figure("repair_precision", of, repair.precision, bounds.repair_precision, least=True)
    if bounds.wrongly_credited is not None:
        share = judged.wrongly_credited()
        yield Figure(
            "wrongly_credited", "billed micros", share, bounds.wrongly_credited, least=False
        )
