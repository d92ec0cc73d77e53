"""Verdicts as a batch of CloudEvents 1.0 in JSON.

The event's id is the verdict's, its subject the click, its data the verdict's document.
"""

import json

from recovery.sinks.sink import Batch

CONTENT_TYPE = "application/cloudevents-batch+json"
TYPE = "slidr.replay.verdict.v1"


def events(batch: Batch, source: str) -> bytes:
    """Write a batch; the same rows give the same bytes."""
    columns = ("verdict_id", "click_id", "issued_at")
    rows = zip(*(batch.column(name) for name in columns), batch.texts(), strict=True)
    head = '{"specversion":"1.0","type":%s,"source":%s' % (_text(TYPE), _text(source))  # noqa: UP031
    written = [
        f'{head},"id":{_text(verdict_id)},"subject":{_text(click_id)},'
        f'"time":"{issued_at:%Y-%m-%dT%H:%M:%S.%fZ}",'
        f'"datacontenttype":"application/json","data":{document}}}'
        for verdict_id, click_id, issued_at, document in rows
    ]
    return f"[{','.join(written)}]".encode()


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
