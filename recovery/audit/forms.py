"""An audit as JSON: times in UTC, money in micros, rates with their 95% intervals."""

from dataclasses import asdict
from typing import Any

from recovery.audit.figures import Account, Audit, Part
from recovery.audit.tallies import METRICS
from replay.span import iso
from scorer.metrics import Difference, Share


def audit_json(audit: Audit) -> dict[str, Any]:
    """Return the figures as plain data."""
    return {
        "from": iso(audit.span.start),
        "to": iso(audit.span.end),
        "known_until": iso(audit.known_until),
        "currency": audit.currency,
        "voices": audit.voices,
        "versions": [asdict(version) for version in audit.versions],
        "clicks": audit.clicks,
        "missing": audit.missing,
        "sessionless": audit.sessionless,
        "differing": audit.differing,
        "overall": _part_json(audit.overall),
        "slices": [_part_json(part) for part in audit.slices],
        "hours": [_part_json(part) for part in audit.hours],
        "agreement": [asdict(a) | {"same": _share(a.same)} for a in audit.agreements],
        "money": [_account_json(account) for account in audit.accounts],
        "money_of_all": _account_json(audit.all_accounts),
        "notes": audit.notes,
    }


def _part_json(part: Part) -> dict[str, Any]:
    metrics = {
        voice: asdict(counts) | {name: _share(getattr(counts, name)) for name in METRICS}
        for voice, counts in part.counts.items()
    }
    pairs = [
        {
            "first": pair.first,
            "second": pair.second,
            **{name: _difference(found) for name, found in pair.differences.items()},
        }
        for pair in part.pairs
    ]
    return {"columns": part.columns, "name": part.name, "metrics": metrics, "differences": pairs}


def _account_json(account: Account) -> dict[str, Any]:
    billed = {voice: account.billed(voice) for voice in account.voices}
    return asdict(account) | {"billed_micros": billed}


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {"part": share.part, "whole": share.whole, "rate": share.rate, "low": low, "high": high}


def _difference(found: Difference) -> dict[str, Any]:
    low, high = found.interval
    return asdict(found) | {"value": found.value, "low": low, "high": high}
