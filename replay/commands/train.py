"""`replay train`: a new model version from a span of the log."""

from functools import partial

import click

from replay.console import home_option, json_option, open_lake, print_json, progress, screen, warn
from replay.formats import BARS, described
from replay.snapshot import Snapshot, reading
from replay.span import Span, now_micros, parse_time
from replay.training import Request, train_version
from scorer.manifest import Manifest
from scorer.models import ARCHITECTURES
from scorer.scoring import DEVICES
from scorer.spec import load_spec
from scorer.training import Settings


@click.command()
@click.option("--from", "from_", required=True, metavar="TIME", help="First moment, inclusive.")
@click.option("--to", required=True, metavar="TIME", help="Last moment, exclusive.")
@click.option("--name", required=True, metavar="V", help="The new version's name.")
@click.option(
    "--arch", type=click.Choice(list(ARCHITECTURES)), default="mlp", help="The architecture."
)
@click.option("--spec", default="default", metavar="NAME|FILE", help="A shipped spec or a file.")
@click.option(
    "--fpr-budget",
    type=float,
    default=0.01,
    metavar="SHARE",
    help="Share of purchasing clicks that may be called robotic, in (0, 1].",
)
@click.option(
    "--no-weights", is_flag=True, help="Balance the labels alone: no weights by hour and login."
)
@click.option("--seed", type=int, default=0, help="Same data, seed and device: same weights.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", help="Where to fit.")
@click.option("--as-of", metavar="TIME", help="Read the lake as it was known then.")
@home_option
@json_option
def train(
    from_: str,
    to: str,
    name: str,
    arch: str,
    spec: str,
    fpr_budget: float,
    no_weights: bool,
    seed: int,
    device: str,
    as_of: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Train a model version on weak labels.

    Clicks that led to a purchase before --to stand for humans, as do those made logged in from
    accounts that buy much and often; all others stand for robots (`replay labels` counts them).
    Every hour of the week counts the same, logged in or not, human or not, so that the night is
    learned too. The last fifth of the time is held out: it stops the fitting and carries the
    threshold.

    \b
    Example:
      replay train --from 2026-03-01 --to 2026-03-02 --name v2
    """
    now = now_micros()
    span = Span(parse_time(from_, now), parse_time(to, now))
    lake = open_lake(home)
    settings = Settings(
        seed=seed,
        device=device,
        fpr_budget=fpr_budget,
        weights=not no_weights,
        weight_cap=lake.config.train.weight_cap,
    )
    request = Request(name, span, load_spec(spec), arch, settings)
    tell = partial(_tell, settings.epochs)
    snapshot = Snapshot.take(lake, None if as_of is None else parse_time(as_of, now))
    with reading(snapshot), progress("features", snapshot.rows("clicks", span)) as advance:
        version, trained = train_version(lake, snapshot, request, advance, tell)
    manifest = version.manifest
    if (high := float(manifest.metrics["fpr_high"] or 0)) > fpr_budget:
        warn(
            f"{manifest.metrics['held_out_purchasing']} held-out purchasing clicks can't show an "
            f"FPR of {fpr_budget:.2%}: it may be up to {high:.2%}"
        )
    if as_json:
        print_json({"digest": version.digest, **manifest.model_dump(mode="json")})
    else:
        _show(manifest, trained.held_out_losses)


def _tell(most: int, epoch: int, loss: float, held_out_loss: float) -> None:
    epochs = f"epoch {epoch} of at most {most}"
    click.echo(f"{epochs}: loss {loss:.4f}, held out {held_out_loss:.4f}", err=True)


def _show(manifest: Manifest, losses: list[float]) -> None:
    metrics = manifest.metrics
    rows = {
        "version": f"{manifest.name} ({manifest.architecture})",
        "trained on": _clicks(manifest, ""),
        "held out": _clicks(manifest, "held_out_"),
        "weights": _weights(manifest),
        "epochs": f"{len(losses)}, held-out loss {sparkline(losses)} {min(losses):.4f}",
        "threshold": f"{metrics['threshold']:.6f}",
        "FPR held out": interval(manifest, "fpr"),
        "IVR held out": interval(manifest, "ivr"),
    }
    screen().print(described(rows.items()))


def _clicks(manifest: Manifest, part: str) -> str:
    rows, humans, purchasing = (
        manifest.metrics[part + kind] for kind in ("rows", "humans", "purchasing")
    )
    return f"{rows:,} clicks, {humans:,} of them human ({purchasing:,} purchasing)"


def _weights(manifest: Manifest) -> str:
    metrics, training = manifest.metrics, manifest.training
    worth = f"worth {metrics['effective_rows']:,.0f} clicks without weights"
    if training is None or training.weight_cap is None:
        return f"by label alone, {worth}"
    capped = f"{metrics['capped_clicks']:,} clicks held to {training.weight_cap:g}"
    return f"{metrics['weight_cells']} cells, {worth}; {capped}"


def interval(manifest: Manifest, name: str) -> str:
    """Write a stored rate with its 95% interval."""
    rate, low, high = (manifest.metrics[name + end] for end in ("", "_low", "_high"))
    return "unknown" if rate is None else f"{rate:.2%} (95%: {low:.2%} to {high:.2%})"


def sparkline(values: list[float]) -> str:
    """Draw a row of numbers as bars, from the lowest to the highest.

    >>> sparkline([3.0, 2.0, 1.0, 1.0])
    '█▅▁▁'
    """
    low, height = min(values), max(values) - min(values)
    return "".join(BARS[round((v - low) / height * 7) if height else 0] for v in values)
