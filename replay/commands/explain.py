"""`replay explain`: one click's whole story."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.explain import FeatureValue, Opinion, Story, tell
from replay.formats import money, new_table
from replay.span import iso, iso_local, now_micros, parse_time

HIDDEN = ("ts", "seq", "price_micros", "ingested_at", "click_id")


@click.command()
@click.argument("click_id")
@click.option("--as-of", metavar="TIME", help="Read the lake as it was known then.")
@home_option
@json_option
def explain(click_id: str, as_of: str | None, home: str | None, as_json: bool) -> None:
    """Tell one click's whole story.

    The click, production's decision, each feature as logged and as recomputed, what every stored
    version says of it, its verdicts, and what it costs.

    \b
    Example:
      replay explain 732bf5e63139f89988e6
    """
    lake = open_lake(home)
    story = tell(lake, click_id, None if as_of is None else parse_time(as_of, now_micros()))
    if as_json:
        document = {**asdict(story), "effective": story.effective}
        print_json({**document, "billed_micros": story.billed_micros})
        return
    console = screen()
    for part in _parts(story, lake.config.currency):
        console.print(part)


def _parts(story: Story, currency: str) -> Iterator[RenderableType]:
    yield Text("\n".join(_lines(story, currency)))
    yield Text("\nwhat each version says, on recomputed features")
    yield _opinions(story.opinions)
    differing = sum(value.differs for value in story.features)
    logged = any(value.logged is not None for value in story.features)
    says = f"{differing} differ from the log" if logged else "production logged none"
    yield Text(f"\nfeatures: {says}")
    yield _features(story.features)


def _lines(story: Story, currency: str) -> Iterator[str]:
    row = story.click
    price = money(row["price_micros"], currency)
    yield f"click {row['click_id']} at {iso_local(row['ts'])}, {price}"
    yield ", ".join(f"{k}={v}" for k, v in row.items() if k not in HIDDEN and v is not None)
    yield _decision(story.decision)
    for verdict in story.verdicts:
        amount = money(verdict["adjustment_micros"], currency, signed=True)
        yield (
            f"verdict of run {verdict['run_id']}: {verdict['previous']} → {verdict['decision']}, "
            f"{amount}, issued {iso(verdict['issued_at'])}"
        )
    for purchase in story.purchases:
        yield f"purchase {purchase['purchase_id']} at {iso(purchase['ts'])} names this click"
    stands = story.effective or "never decided"
    yield f"as it stands: {stands}, billed {money(story.billed_micros, currency)}"


def _decision(decision: dict[str, Any] | None) -> str:
    if decision is None:
        return "production never logged a decision on it"
    said = f"production decided {decision['decision']} ({decision['reason']})"
    if decision["probability"] is None:
        return said
    return (
        f"{said}: {decision['model_version']} gave {decision['probability']:.6f} against the "
        f"threshold {decision['threshold']:.6f}"
    )


def _opinions(opinions: tuple[Opinion, ...]) -> Table:
    made = new_table("version", "part", ">probability", ">threshold", "decision", "slice")
    for said in opinions:
        figures = (f"{said.probability:.6f}", f"{said.threshold:.6f}")
        made.add_row(said.version, said.role, *figures, said.decision, said.slice)
    return made


def _features(features: tuple[FeatureValue, ...]) -> Table:
    made = new_table("feature", ">logged", ">recomputed", "")
    for value in features:
        logged = "" if value.logged is None else _number(value.logged)
        note = "differs" if value.differs else ""
        made.add_row(value.name, logged, _number(value.recomputed), note)
    return made


def _number(value: float) -> str:
    """Write a fact with all its digits, a real with six.

    >>> _number(14_400_000), _number(1 / 3)
    ('14,400,000', '0.333333')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
