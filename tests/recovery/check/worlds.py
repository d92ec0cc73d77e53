"""Small worlds to check versions against, as scenario files."""

from pathlib import Path

PLAIN = """
title = "people, scripts and a burst"
start = 2026-03-01
days = 2
clicks_per_day = {clicks}
seed = {seed}

[humans]
purchase_rate = 0.1

[market]
advertisers = 8
campaigns_per_advertiser = 2

[[robots]]
kind = "background"
share = 0.1

[[robots]]
kind = "burst"
share = 1
begins_hour = 32
hours = 5

[[robots]]
kind = "rival"
share = 0.15
residential = 0
clicks_per_user = 2
users_per_address = 1
"""
BOUNDS = """
[bounds]
human_fpr = 0.02
slice_human_fpr = 0.05
slice_clicks = 200

[bounds.detection]
background = 0.5
burst = 0.5
rival = 0.5
"""
INCIDENT = """
[production]
history_days = 1
architecture = "logistic"

[[incidents]]
kind = "service_down"
begins_hour = 33
hours = 2
"""
REPAIR = """
[bounds]
repair_recall = 0.5
repair_precision = 0.5
wrongly_credited = 0.02
"""


def scenario_file(
    folder: Path, bounds: str = BOUNDS, *, name: str = "small", clicks: int = 3000, seed: int = 5
) -> Path:
    """Write a small scenario with these bounds, and an incident where they are on its repair."""
    incident = INCIDENT if "repair" in bounds else ""
    path = folder / f"{name}.toml"
    path.write_text(PLAIN.format(clicks=clicks, seed=seed) + incident + bounds)
    return path
