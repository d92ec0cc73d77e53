"""Rows of the lake's tables, made from clicks and the world's texts."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.parts import ROW_GROUP
from replay.tables import CLICKS, PURCHASES, TIMESTAMP, TRUTH
from simulator.columns import Clicks
from simulator.delivery import SOURCES, Delivery
from simulator.draw import Flags, Ints, Words, hex_strings
from simulator.generate import Chunk
from simulator.humans import HUMAN_KIND
from simulator.world import CLICK_SALT, PURCHASE_SALT, SESSION_SALT, USER_SALT, World

CLICK_ID_DIGITS = 20
COMMIT_EVERY = 5_000_000  # a committer lands what came in every five seconds


def times(values: Ints) -> pa.Array:
    """Return µs since the epoch as timestamps."""
    return pa.array(values, pa.int64()).cast(TIMESTAMP)


def click_ids(world: World, number: Words) -> pa.Array:
    """Return the ids of clicks."""
    return hex_strings(number, world.key(CLICK_SALT), CLICK_ID_DIGITS)


def user_ids(world: World, actor: Ints, shown: Flags | None = None) -> pa.Array:
    """Return the ids of users; null where `shown` is false."""
    ids = hex_strings(actor.astype(np.uint64), world.key(USER_SALT), prefix="u")
    return ids if shown is None else pc.if_else(pa.array(shown), ids, None)


def click_rows(world: World, chunk: Chunk, came: Delivery) -> Iterator[pa.RecordBatch]:
    """Yield rows of `clicks`, a row group at a time, so that few strings exist at once."""
    for low in range(0, len(chunk.clicks), ROW_GROUP):
        rows = np.arange(low, min(low + ROW_GROUP, len(chunk.clicks)))
        yield _clicks(world, chunk.take(rows), came.take(rows))


def _clicks(world: World, chunk: Chunk, came: Delivery) -> pa.RecordBatch:
    texts, clicks, count = world.texts, chunk.clicks, len(chunk.clicks)
    landed = (clicks.ts // COMMIT_EVERY + 1) * COMMIT_EVERY
    columns = {
        "seq": pa.array(chunk.seq),
        "ts": times(chunk.ts),
        "click_id": click_ids(world, clicks.number),
        "source": _texts(SOURCES, came.source),
        "store_epoch": _texts(pa.array([f"e{came.epoch}"]), np.zeros(count, int), came.counted),
        "user_id": user_ids(world, clicks.actor, clicks.known),
        "session_id": hex_strings(clicks.session, world.key(SESSION_SALT)),
        "ip": _texts(texts["ip"], clicks.ip),
        "user_agent": _texts(texts["agent"], clicks.agent),
        "device": _texts(texts["device"], clicks.device),
        "logged_in": pa.array(clicks.logged_in),
        "advertiser_id": _texts(texts["advertiser"], world.market.advertiser[clicks.campaign]),
        "campaign_id": _texts(texts["campaign"], clicks.campaign),
        "ad_id": _texts(texts["ad"], clicks.ad),
        "query": _texts(texts["query"], clicks.query, clicks.query >= 0),
        "price_micros": pa.array(clicks.price),
        "ingested_at": times(np.where(came.detoured, landed + came.late, landed)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=CLICKS.schema)


def truth_rows(world: World, chunk: Chunk) -> Iterator[pa.RecordBatch]:
    """Yield rows of `truth`, one per click, in log order."""
    for low in range(0, len(chunk.clicks), ROW_GROUP):
        rows = slice(low, low + ROW_GROUP)
        clicks = chunk.clicks.take(rows)
        columns = {
            "click_id": click_ids(world, clicks.number),
            "ts": times(chunk.ts[rows]),
            "actor": user_ids(world, clicks.actor),
            "kind": _texts(world.kinds, clicks.kind),
            "is_robot": pa.array(clicks.kind != HUMAN_KIND),
        }
        yield pa.RecordBatch.from_pydict(columns, schema=TRUTH.schema)


def purchase_rows(world: World, bought: Clicks) -> pa.RecordBatch:
    """Return the purchases that clicks lead to before the simulation's end, by time.

    Each of the clicks leads to one.
    """
    at = bought.ts + bought.buys_after
    order = np.lexsort((bought.number, at))
    order = order[at[order] < world.scenario.span.end]
    bought, at = bought.take(order), at[order]
    advertiser = world.market.advertiser[bought.campaign]
    ids = click_ids(world, bought.number)
    columns = {
        "purchase_id": hex_strings(bought.number, world.key(PURCHASE_SALT), prefix="p"),
        "ts": times(at),
        "user_id": user_ids(world, bought.actor, bought.known),
        "click_id": ids.take(pa.array(np.arange(len(bought)), mask=~bought.names_click)),
        "advertiser_id": _texts(world.texts["advertiser"], advertiser),
        "amount_micros": pa.array(bought.amount),
    }
    return pa.RecordBatch.from_pydict(columns, schema=PURCHASES.schema)


def _texts(table: pa.Array, index: npt.NDArray[np.int64], shown: Flags | None = None) -> pa.Array:
    """Look up texts; null where `shown` is false."""
    return table.take(pa.array(index, mask=None if shown is None else ~shown))
