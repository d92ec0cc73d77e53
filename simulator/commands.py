"""`replay simulate`: clicks with a known truth, into a lake."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from replay.config import check_currency, find_home
from replay.console import home_option, json_option, open_lake, print_json, progress, screen
from replay.errors import BadInput
from replay.formats import money, new_table
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import Span, iso, now_micros, parse_time, to_datetime, to_micros
from scorer.errors import NotTrainable
from simulator.comparison import compare_logs
from simulator.comparison_view import comparison_document, comparison_lines, comparison_table
from simulator.mark import days_written
from simulator.scenario import Scenario, load_scenario, scaled, shipped
from simulator.score_command import score
from simulator.write import Written
from simulator.write import simulate as write


@click.group(invoke_without_command=True)
@click.pass_context
@click.option("--scenario", "name", metavar="NAME|FILE", help="A shipped scenario or a TOML file.")
@click.option("--list", "list_them", is_flag=True, help="List the shipped scenarios.")
@click.option("--days", type=int, help="How many days; else the scenario's.")
@click.option("--clicks-per-day", type=int, help="Humans' clicks on an average day.")
@click.option("--scale", type=float, metavar="FACTOR", help="Times the scenario's own volume.")
@click.option("--seed", type=int, help="Same seed, same rows.")
@click.option("--start", metavar="DATE", help="First day, or a whole hour, UTC.")
@click.option(
    "--append", is_flag=True, help="Go on after the days that the lake has: --days more, or one."
)
@click.option("--currency", metavar="CODE", help="Of a new lake; USD unless given.")
@click.option("--compare-to", metavar="LAKE", help="Hold the lake at --home against another.")
@click.option(
    "--user-by",
    metavar="COLUMNS",
    default="user_id",
    show_default=True,
    help="With --compare-to: click columns that tell users apart, such as ip,user_agent.",
)
@home_option
@json_option
def simulate(
    context: click.Context,
    name: str | None,
    list_them: bool,
    days: int | None,
    clicks_per_day: int | None,
    scale: float | None,
    seed: int | None,
    start: str | None,
    append: bool,
    currency: str | None,
    compare_to: str | None,
    user_by: str,
    home: str | None,
    as_json: bool,
) -> None:
    """Make clicks with a known truth.

    Humans and robots, their purchases and profiles, and who was what; production's decisions with
    their incidents, and what should have been decided.

    \b
    Example:
      replay simulate --scenario burst --days 2 --clicks-per-day 50000 --home build/lake
    """
    if context.invoked_subcommand is not None:
        return
    if list_them:
        _show_list(as_json)
        return
    changes = {"days": days, "clicks_per_day": clicks_per_day, "seed": seed, "start": _start(start)}
    if compare_to is not None:
        if name is not None or append or any(v is not None for v in (*changes.values(), scale)):
            raise click.UsageError(
                "--compare-to takes nothing that says what to simulate; simulate first"
            )
        _compare(home, Path(compare_to), user_by.split(","), as_json)
        return
    if name is None:
        raise click.UsageError("no --scenario given; `replay simulate --list` shows them")
    given = {k: v for k, v in changes.items() if v is not None}
    lake = _kept_in(open_lake(home), currency) if append else None
    since, scenario = _asked(lake, name, given, scale)
    lake = lake or _lake(find_home(home, Path.cwd()), currency)
    with progress("simulate", scenario.expected_clicks) as advance:
        try:
            written = write(lake, scenario, context.obj, since=since, advance=advance)
        except NotTrainable as exc:
            raise BadInput(
                f"scenario {name}: a version can't be trained: {str(exc).partition(';')[0]}; give "
                "more --clicks-per-day, and another --home"
            ) from exc
    _show(lake, scenario, written, Span(since or scenario.span.start, scenario.span.end), as_json)


def _asked(
    lake: Lake | None, name: str, given: dict[str, Any], scale: float | None
) -> tuple[int | None, Scenario]:
    """Return the scenario to write, and from when on (µs): after the days of `lake`, if any."""
    if lake is None:
        return None, _loaded(name, given, scale)
    more = given.get("days", 1)
    if more < 1:
        raise BadInput(f"--days {more}: --append writes one day more, or as many as --days says")
    own = _loaded(name, {k: v for k, v in given.items() if k != "days"}, scale)
    before = days_written(lake, own)
    since = to_micros(own.start + timedelta(days=before))
    return since, _loaded(name, {**given, "days": before + more}, scale)


def _loaded(name: str, given: dict[str, Any], scale: float | None) -> Scenario:
    scenario = load_scenario(name, given)
    return scenario if scale is None else scaled(scenario, scale)


def _start(text: str | None) -> datetime | None:
    return None if text is None else to_datetime(parse_time(text, now_micros()))


def _compare(home: str | None, other: Path, user_by: list[str], as_json: bool) -> None:
    ours, theirs = Snapshot.take(open_lake(home)), Snapshot.take(Lake.open(other))
    comparison = compare_logs(ours, theirs, user_by)
    if as_json:
        print_json(comparison_document(comparison))
        return
    screen().print(comparison_table(comparison, other))
    for line in comparison_lines(comparison):
        click.echo(line)


def _lake(home: Path, currency: str | None) -> Lake:
    lake = Lake.create(home, check_currency("USD" if currency is None else currency))
    return _kept_in(lake, currency)


def _kept_in(lake: Lake, currency: str | None) -> Lake:
    """Return the lake; raise BadInput where it is kept in another currency than is given."""
    if currency and lake.config.currency != currency:
        raise BadInput(
            f"{lake.home} is kept in {lake.config.currency}, not {currency}: "
            "leave --currency out or give another --home"
        )
    return lake


def _show_list(as_json: bool) -> None:
    titles = {name: load_scenario(name).title for name in shipped()}
    if as_json:
        print_json({"scenarios": [{"name": n, "title": t} for n, t in titles.items()]})
        return
    made = new_table("scenario", "what happens")
    for name, title in titles.items():
        made.add_row(name, title)
    screen().print(made)


def _show(lake: Lake, scenario: Scenario, written: Written, span: Span, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "home": str(lake.home),
                "from": iso(span.start),
                "to": iso(span.end),
                "seed": scenario.seed,
                "currency": lake.config.currency,
                "clicks": dict(written.clicks),
                "micros": dict(written.micros),
                "purchases": written.purchases,
            }
        )
        return
    made = new_table("actors", ">clicks", ">spend")
    for kind, clicks in written.clicks.items():
        made.add_row(kind, f"{clicks:,}", money(written.micros[kind], lake.config.currency))
    screen().print(made)
    total = sum(written.clicks.values())
    click.echo(
        f"{total:,} clicks and {written.purchases:,} purchases in {span}, "
        f"seed {scenario.seed}, written to {lake.home}"
    )


simulate.add_command(score)
