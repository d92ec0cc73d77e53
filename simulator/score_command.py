"""`replay simulate score`: how well a run repairs, against the truth."""

import click

from replay.console import home_option, json_option, open_lake, print_json, screen
from replay.formats import money, new_table
from scorer.metrics import Share
from simulator.score import ALL, Money, Score, Scores, score_run


@click.command()
@click.option(
    "--run", "run_id", required=True, metavar="RUN_ID", help="A finished run, or `latest`."
)
@home_option
@json_option
def score(run_id: str, home: str | None, as_json: bool) -> None:
    """Hold a run against the truth of a simulated lake.

    By incident and by kind of actor: which changes are true to who clicked (precision), how many of
    the clicks that were decided wrongly it puts right (recall), and what is still billed wrongly.

    \b
    Example:
      replay simulate score --run latest
    """
    lake = open_lake(home)
    scores = score_run(lake, run_id)
    if as_json:
        print_json(scores.to_json())
    else:
        _show(scores, lake.config.currency)


def _show(scores: Scores, currency: str) -> None:
    columns = ("clicks", "changes", "precision", "made wrong", "put right")
    made = new_table("", *(f">{column}" for column in columns), ">wrong money, before", ">after")
    for row in scores.rows:
        made.add_row(
            row.name if row.part == ALL else f"{row.part} {row.name}",
            f"{row.clicks:,}",
            f"{row.precision.whole:,}",
            _rate(row.precision),
            f"{row.recall.whole:,}",
            _rate(row.recall),
            money(_total(row.healthy_before), currency),
            money(_total(row.healthy_after), currency),
        )
    screen().print(made)
    click.echo(f"run {scores.run_id} on {scores.span}; {_against_truth(scores.whole, currency)}")


def _rate(share: Share) -> str:
    return "unknown" if share.rate is None else f"{share.rate:.2%}"


def _total(error: Money) -> int:
    """Return what is billed wrongly, either way."""
    return error.over + error.under


def _against_truth(whole: Score, currency: str) -> str:
    before, after = (money(_total(m), currency) for m in (whole.truth_before, whole.truth_after))
    return f"against who really clicked, {before} was billed wrongly before it and {after} after"
