"""The kinds of sinks, and those that a lake's `replay.toml` names.

```toml
[sinks.billing]
kind = "ndjson"
path = "verdicts.ndjson"
```

A third party adds a kind by an entry point of the group `slidr_replay.sinks`: its name is the kind,
and it leads to a class as `recovery.sinks.sink.Sink` describes it.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from recovery.sinks.sink import BadSink, Sink, SinkKind
from replay.cursors import check_name
from replay.lake import Lake
from scorer.errors import nearest

GROUP = "slidr_replay.sinks"
# Loaded on use, as a third party's are: a lake without a Redis sink needs no Redis client.
SINKS: Mapping[str, EntryPoint] = MappingProxyType(
    {
        name: EntryPoint(name, target, GROUP)
        for name, target in (
            ("ndjson", "recovery.sinks.ndjson:Ndjson"),
            ("redis", "recovery.sinks.redis_stream:RedisStream"),
            ("webhook", "recovery.sinks.webhook:Webhook"),
        )
    }
)


def open_sinks(lake: Lake, names: Sequence[str] | None = None) -> tuple[Sink, ...]:
    """Make the sinks of a lake's `replay.toml` (or those named), in its order; connects to none.

    Raises BadSink for a table that cannot be used or a name that no sink has.
    """
    tables = lake.config.sinks
    for name in names or ():
        if name not in tables:
            hint = nearest(name, tables, f"Its sinks are {', '.join(tables) or 'none'}.")
            raise BadSink(f"{lake.home / 'replay.toml'} has no sink named {name!r}. {hint}")
    sinks: list[Sink] = []
    places: dict[str, str] = {}
    for name, table in tables.items():
        if names is not None and name not in names:
            continue
        sink = _open(lake, check_name(name), table)
        if other := places.get(sink.where):
            raise BadSink(
                f"{_table(lake, name)}: sinks {other!r} and {name!r} both go to {sink.where}; "
                "give each a place of its own"
            )
        places[sink.where] = name
        sinks.append(sink)
    return tuple(sinks)


def _open(lake: Lake, name: str, table: Mapping[str, Any]) -> Sink:
    where = _table(lake, name)
    kind = _kind(where, table.get("kind"))
    options = {key: value for key, value in table.items() if key != "kind"}
    problem = ""
    try:
        return kind(name, kind.Options.model_validate(options), lake.home)
    except ValidationError as exc:
        problem = _problems(exc)
    except BadSink as exc:
        problem = str(exc)
    raise BadSink(f"{where}: {problem}")  # here, so that it does not lead to the option's values


def _table(lake: Lake, name: str) -> str:
    return f"{lake.home / 'replay.toml'}, [sinks.{name}]"


def _kind(where: str, kind: object) -> SinkKind:
    kinds = {**{point.name: point for point in entry_points(group=GROUP)}, **SINKS}
    if isinstance(kind, str) and kind in kinds:
        try:
            loaded: SinkKind = kinds[kind].load()
        except (ImportError, AttributeError) as exc:
            raise BadSink(f"{where}: kind {kind!r} cannot be loaded: {exc}") from exc
        return loaded
    known = [*SINKS, *(name for name in kinds if name not in SINKS)]
    hint = nearest(str(kind), known, f"The kinds are {', '.join(known)}.")
    if kind is None:
        raise BadSink(f"{where} has no kind. The kinds are {', '.join(known)}.")
    raise BadSink(f"{where}: no kind of sink is named {kind!r}. {hint}")


def _problems(exc: ValidationError) -> str:
    """Name each option that does not hold, and never its value: it may be a secret."""
    return "; ".join(
        f"{'.'.join(str(part) for part in error['loc']) or 'options'}: "
        f"{error['msg'].removeprefix('Value error, ')}"
        for error in exc.errors(include_input=False, include_url=False)
    )
