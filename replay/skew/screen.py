"""What `replay skew` found, as people read it: a pure function of the report."""

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from replay.formats import bar, new_table
from replay.skew.comparison import MISSING
from replay.skew.judge import SHORT
from replay.skew.reasons import REASONS
from replay.skew.report import Example, FeatureSkew, Flush, Onset, Skew
from replay.span import iso_local, to_datetime

FEATURES_NAMED = 2
MOMENTS_SHOWN = 20


def skew_screen(skew: Skew) -> Iterator[RenderableType]:
    """Yield what `replay skew` prints, in order."""
    yield Text("\n".join(_head(skew)))
    for title, table in (
        ("why", _reasons(skew)),
        ("the store began anew", _flushes(skew.flushes)),
        ("unexplained, from when on", _onsets(skew.onsets)),
        ("which features", _features(skew.features)),
        (f"when, by {_length(skew.bucket)}", _times(skew)),
        ("for example", _examples(skew.examples)),
    ):
        if table.row_count:
            yield Text(f"\n{title}")
            yield table
    for note in _notes(skew):
        yield Text(f"note: {note}")


def _head(skew: Skew) -> Iterator[str]:
    yield f"from {iso_local(skew.start)}"
    yield f"to   {iso_local(skew.end)}"
    missing = sum(skew.missing.values())
    yield (
        f"{skew.clicks:,} clicks: {skew.equal:,} equal, {skew.different:,} different, "
        f"{missing:,} missing"
    )
    for name, clicks in skew.missing.items():
        yield f"  missing: {clicks:,}, {MISSING[name]}"
    if skew.unexplained:
        yield f"{skew.unexplained:,} clicks differ and nothing explains it."
    elif skew.different:
        yield "Every difference has a reason."
    elif skew.compared:
        yield "Every feature of every compared click is equal."
    else:
        yield "Nothing could be compared."


def _reasons(skew: Skew) -> Table:
    made = new_table("reason", "meaning", ">clicks", ">values")
    for reason in skew.reasons:
        figures = (f"{reason.clicks:,}", f"{reason.values:,}")
        made.add_row(reason.name, REASONS[reason.name], *figures)
    return made


def _flushes(flushes: tuple[Flush, ...]) -> Table:
    made = new_table("at (UTC)", "epoch", ">in reach", ">different", "until (UTC)", "most of all")
    for flush in flushes[:MOMENTS_SHOWN]:
        until = "" if flush.last is None else _time(flush.last)
        figures = (f"{flush.reached:,}", f"{flush.different:,}")
        epoch = (flush.store_epoch or "none")[:8]
        made.add_row(_time(flush.at), epoch, *figures, until, _most(flush.features))
    return made


def _onsets(onsets: tuple[Onset, ...]) -> Table:
    made = new_table("at (UTC)", "the store", ">clicks", "until (UTC)", "most of all", "first")
    for onset in onsets[:MOMENTS_SHOWN]:
        did = "lacks clicks" if onset.kind == SHORT else "has more clicks"
        figures = (f"{onset.clicks:,}", _time(onset.last), _most(onset.features))
        made.add_row(_time(onset.at), did, *figures, onset.click_id)
    return made


def _features(features: tuple[FeatureSkew, ...]) -> Table:
    made = new_table("feature", ">different", ">unexplained", ">share", "largest difference", "of")
    for feature in features:
        if feature.largest is None:
            continue
        unexplained = feature.reasons.get("unexplained", 0)
        name = feature.name + (f" ({feature.spec_digest[:8]})" if feature.spec_digest else "")
        made.add_row(
            name,
            f"{feature.different:,}",
            f"{unexplained:,}",
            f"{feature.different / feature.compared:.2%}",
            _difference(feature.largest),
            feature.largest.click_id,
        )
    return made


def _times(skew: Skew) -> Table:
    """Draw each stretch of time from the first that differs to the last."""
    made = new_table("from (UTC)", ">compared", ">different", ">unexplained", "share different")
    differing = [number for number, row in enumerate(skew.times) if row.different]
    if differing:
        for row in skew.times[differing[0] : differing[-1] + 1]:
            figures = [f"{n:,}" for n in (row.compared, row.different, row.unexplained)]
            made.add_row(_time(row.start), *figures, bar(row.different, row.compared))
    return made


def _examples(examples: tuple[Example, ...]) -> Table:
    made = new_table("reason", "time (UTC)", "click", "feature", "logged → recomputed", ">more")
    for example in examples:
        difference = _difference(example)
        others = f"+{example.others}" if example.others else ""
        at = _time(example.ts)
        made.add_row(example.reason, at, example.click_id, example.feature, difference, others)
    return made


def _notes(skew: Skew) -> Iterator[str]:
    if skew.outside:
        yield (
            f"the windows of {skew.outside:,} clicks hold other than live clicks of one store "
            "epoch, so theirs need not be equal"
        )
    hidden = [max(0, len(moments) - MOMENTS_SHOWN) for moments in (skew.flushes, skew.onsets)]
    if left_out := sum(hidden) + skew.onsets_left_out:
        yield f"{left_out:,} later moments are not shown"
    yield from skew.notes


def _most(features: Mapping[str, int]) -> str:
    named = ", ".join(list(features)[:FEATURES_NAMED])
    return named + (f" +{len(features) - FEATURES_NAMED}" if len(features) > FEATURES_NAMED else "")


def _difference(example: Example) -> str:
    return f"{_number(example.logged)} → {_number(example.recomputed)}"


def _number(value: float) -> str:
    """Write a fact with all its digits, a real with as many as tell float32 values apart.

    >>> _number(14_400_000), _number(0.5)
    ('14,400,000', '0.5')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:.9g}"


def _time(ts: int) -> str:
    return f"{to_datetime(ts):%Y-%m-%d %H:%M:%S}"


def _length(micros: int) -> str:
    """Write a length of time in its largest whole unit.

    >>> _length(1_800_000_000), _length(86_400_000_000)
    ('30 min', '1 d')
    """
    for unit, seconds in (("d", 86_400), ("h", 3600), ("min", 60)):
        if micros % (seconds * 1_000_000) == 0:
            return f"{micros // (seconds * 1_000_000)} {unit}"
    return f"{micros // 1_000_000} s"
