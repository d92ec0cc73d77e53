"""Count each verdict once: an example of what stands at the other end of a sink.

A sink delivers every verdict at least once, always the same bytes under the same `verdict_id`. So
the receiver keeps the ids that it has applied, and applies a verdict and keeps its id in one
transaction: then a verdict that comes again, or a crash anywhere, changes nothing. Here the books
are a SQLite file with a balance for each campaign; put your own in its place.

    python docs/consumer.py books.db file LAKE/verdicts.ndjson
    python docs/consumer.py books.db redis redis://localhost:6379/0
    REPLAY_BILLING_SECRET=… python docs/consumer.py books.db webhook 8080
"""

import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import redis

from recovery.sinks.signature import SIGNATURE, TIMESTAMP, verify

SCHEMA = """
CREATE TABLE IF NOT EXISTS applied (verdict_id TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS balances (
  advertiser_id TEXT, campaign_id TEXT, micros INTEGER NOT NULL,
  PRIMARY KEY (advertiser_id, campaign_id)
);
CREATE TABLE IF NOT EXISTS places (file TEXT PRIMARY KEY, bytes INTEGER NOT NULL);
"""
BATCH = 1_000
GROUP, CONSUMER = "books", "only"


class Books:
    """What each campaign is owed (negative) or owes (positive) by its verdicts, in micros."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def balances(self) -> dict[tuple[str, str], int]:
        """Return (advertiser, campaign) → micros."""
        rows = self._database.execute("SELECT * FROM balances")
        return {(advertiser, campaign): micros for advertiser, campaign, micros in rows}

    def place(self, file: Path) -> int:
        """Return how many bytes of a file were applied."""
        query = "SELECT bytes FROM places WHERE file = ?"
        row = self._database.execute(query, [str(file)]).fetchone()
        return int(row[0]) if row else 0

    def apply(
        self, verdicts: Iterable[Mapping[str, Any]], place: tuple[Path, int] | None = None
    ) -> int:
        """Apply the verdicts that are new, all in one transaction; return how many those are.

        `place` is (file, bytes read), kept in the same transaction. Raises ValueError where an id
        comes with another content than before: then nothing is applied.
        """
        new = 0
        with self._database:  # commits at the end, or takes everything back
            self._database.execute("BEGIN IMMEDIATE")
            for verdict in verdicts:
                new += self._apply(verdict)
            if place is not None:
                query = "INSERT OR REPLACE INTO places VALUES (?, ?)"
                self._database.execute(query, [str(place[0]), place[1]])
        return new

    def _apply(self, verdict: Mapping[str, Any]) -> bool:
        text = json.dumps(verdict, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        query = "SELECT digest FROM applied WHERE verdict_id = ?"
        known = self._database.execute(query, [verdict["verdict_id"]]).fetchone()
        if known:
            if known[0] != digest:
                raise ValueError(f"verdict {verdict['verdict_id']} came with another content")
            return False
        insert = "INSERT INTO applied VALUES (?, ?)"
        self._database.execute(insert, [verdict["verdict_id"], digest])
        update = (
            "INSERT INTO balances VALUES (?, ?, ?) ON CONFLICT (advertiser_id, campaign_id) "
            "DO UPDATE SET micros = micros + excluded.micros"
        )
        campaign = [verdict["advertiser_id"], verdict["campaign_id"]]
        self._database.execute(update, [*campaign, verdict["adjustment_micros"]])
        return True


def read_file(books: Books, file: Path) -> int:
    """Apply a file's new complete lines; a line without its end is still being written."""
    done = books.place(file)
    if file.stat().st_size < done:  # another file in its place: read it from the start
        done = 0
    new = 0
    with file.open("rb") as lines:
        lines.seek(done)
        while batch := [line for line in lines.readlines(1 << 20) if line.endswith(b"\n")]:
            done += sum(map(len, batch))
            new += books.apply(map(json.loads, batch), (file, done))
            lines.seek(done)
    return new


def read_stream(books: Books, client: redis.Redis, stream: str = "verdicts") -> int:
    """Apply a stream's new entries, and those that a crash left unacknowledged."""
    try:
        client.xgroup_create(stream, GROUP, id="0", mkstream=True)
    except redis.ResponseError as exc:
        if "BUSYGROUP" not in str(exc):  # it is there already
            raise
    new = 0
    for start in ("0", ">"):  # first what was given out and not acknowledged
        while entries := _entries(client, stream, start):
            new += books.apply(json.loads(fields[b"verdict"]) for _, fields in entries)
            client.xack(stream, GROUP, *(number for number, _ in entries))
    return new


def _entries(client: redis.Redis, stream: str, start: str) -> list[tuple[bytes, dict[bytes, Any]]]:
    answer: Any = client.xreadgroup(GROUP, CONSUMER, {stream: start}, count=BATCH)
    found = answer.values() if isinstance(answer, dict) else [rows for _, rows in answer or []]
    # An entry that was deleted since it was given out has no fields.
    return [(number, fields) for rows in found for number, fields in rows if fields]


def receive(
    books: Books, secret: bytes, headers: Mapping[str, str], body: bytes, now: float
) -> int:
    """Apply a webhook's request; return the HTTP status to answer with.

    Answer 2xx after the books have it and not before. Anything else is sent again.
    """
    if not verify(secret, headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, ""), body, now):
        return 401
    books.apply(event["data"] for event in json.loads(body))
    return 204


class Endpoint(BaseHTTPRequestHandler):
    """Takes a webhook's requests, one at a time."""

    books: Books
    secret: bytes

    def do_POST(self) -> None:
        """Apply one request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name: self.headers.get(name, "") for name in (TIMESTAMP, SIGNATURE)}
        self.send_response(receive(self.books, self.secret, headers, body, time.time()))
        self.send_header("Content-Length", "0")
        self.end_headers()


def main(path: str, kind: str, place: str) -> None:
    """Catch up with a file or a stream, or serve a webhook; then show the balances."""
    books = Books(Path(path))
    if kind == "file":
        print(f"{read_file(books, Path(place)):,} new verdicts")
    elif kind == "redis":
        print(f"{read_stream(books, redis.Redis.from_url(place)):,} new verdicts")
    else:
        Endpoint.books, Endpoint.secret = books, os.environ["REPLAY_BILLING_SECRET"].encode()
        HTTPServer(("127.0.0.1", int(place)), Endpoint).serve_forever()
    for (advertiser, campaign), micros in sorted(books.balances().items()):
        print(f"{advertiser}\t{campaign}\t{micros / 1_000_000:+.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
