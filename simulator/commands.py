"""`replay simulate`: clicks with a known truth, into a lake."""

from datetime import datetime
from pathlib import Path

import click

from replay.config import check_currency, find_home
from replay.console import home_option, json_option, open_lake, print_json, progress, screen
from replay.errors import BadInput
from replay.formats import money, new_table
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import iso, now_micros, parse_time, to_datetime
from simulator.comparison import compare_logs
from simulator.comparison_view import comparison_document, comparison_lines, comparison_table
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
    if compare_to is not None:
        if name is not None:
            raise click.UsageError("--compare-to takes no --scenario: simulate first, then compare")
        _compare(home, Path(compare_to), user_by.split(","), as_json)
        return
    if name is None:
        raise click.UsageError("no --scenario given; `replay simulate --list` shows them")
    changes = {"days": days, "clicks_per_day": clicks_per_day, "seed": seed, "start": _start(start)}
    scenario = load_scenario(name, {k: v for k, v in changes.items() if v is not None})
    scenario = scaled(scenario, scale) if scale is not None else scenario
    lake = _lake(find_home(home, Path.cwd()), currency)
    with progress("simulate", scenario.expected_clicks) as advance:
        written = write(lake, scenario, context.obj, advance=advance)
    _show(lake, scenario, written, as_json)


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
    lake = Lake.create(home, check_currency(currency or "USD"))
    if currency and lake.config.currency != currency:
        raise BadInput(
            f"{home} is kept in {lake.config.currency}, not {currency}: "
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


def _show(lake: Lake, scenario: Scenario, written: Written, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "home": str(lake.home),
                "from": iso(scenario.span.start),
                "to": iso(scenario.span.end),
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
        f"{total:,} clicks and {written.purchases:,} purchases in {scenario.span}, "
        f"seed {scenario.seed}, written to {lake.home}"
    )


simulate.add_command(score)
