"""A figure beside its bound, as frozen data."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scorer.metrics import Share
from simulator.bounds import Bounds
from simulator.judge import Judged
from simulator.score import INCIDENT, NO_INCIDENT, Scores


@dataclass(frozen=True)
class Figure:
    """A share that must be at least, or at most, its bound.

    `key` is the bound's in TOML, below `bounds`; `of` says of which clicks the share is. A share
    that is unknown, of none, breaks every bound: nothing shows that it holds.
    """

    key: str
    of: str
    share: Share
    bound: float
    least: bool

    @property
    def holds(self) -> bool:
        """Whether the bound holds; a figure equal to it does."""
        if self.share.rate is None:
            return False
        return self.share.rate >= self.bound if self.least else self.share.rate <= self.bound


def figures(bounds: Bounds, judged: Judged, scores: Scores | None) -> tuple[Figure, ...]:
    """Return a figure for each bound; `scores` where one is on what a run repairs.

    Of the slices, the figure is that of the worst.
    """
    return (*_of_decisions(bounds, judged), *_of_repair(bounds, judged, scores))


def _of_decisions(bounds: Bounds, judged: Judged) -> Iterator[Figure]:
    found = judged.detection()
    for kind, least in bounds.detection.items():
        share = found.get(kind, Share(0, 0))
        yield Figure(f"detection.{kind}", f"clicks of {kind} robots", share, least, least=True)
    if bounds.human_fpr is not None:
        of = "people's clicks"
        yield Figure("human_fpr", of, judged.human_fpr(), bounds.human_fpr, least=False)
    if bounds.slice_human_fpr is not None:
        key, share = _worst(judged.human_fpr_by_slice(), bounds.slice_clicks)
        of = f"people's clicks in {key}"
        yield Figure("slice_human_fpr", of, share, bounds.slice_human_fpr, least=False)


def _worst(slices: dict[str, Share], least_clicks: int) -> tuple[str, Share]:
    """Return the slice with the highest share among those that have so many clicks."""
    large = {key: share for key, share in slices.items() if share.whole >= least_clicks}
    if not large:
        return f"any slice with {least_clicks:,} of them", Share(0, 0)
    return max(large.items(), key=lambda item: (item[1].rate or 0, item[0]))


def _of_repair(bounds: Bounds, judged: Judged, scores: Scores | None) -> Iterator[Figure]:
    if scores is not None:
        rows = [row for row in scores.rows if row.part == INCIDENT and row.name != NO_INCIDENT]
        recall, precision = (
            _added(shares)
            for shares in ((row.recall for row in rows), (row.precision for row in rows))
        )
        if bounds.repair_recall is not None:
            of = "clicks that the incident made wrong"
            yield Figure("repair_recall", of, recall, bounds.repair_recall, least=True)
        if bounds.repair_precision is not None:
            of = "changes of the incident's clicks"
            yield Figure("repair_precision", of, precision, bounds.repair_precision, least=True)
    if bounds.wrongly_credited is not None:
        share = judged.wrongly_credited()
        yield Figure(
            "wrongly_credited", "billed micros", share, bounds.wrongly_credited, least=False
        )


def _added(shares: Iterable[Share]) -> Share:
    found = list(shares)
    return Share(sum(each.part for each in found), sum(each.whole for each in found))
