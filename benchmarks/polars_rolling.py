"""Polars rolling windows over the lake's files: all features but the distinct counts.

A window is `rolling` over the bucket's number, grouped by entity: its lower edge is exact, and
every click of the present bucket counts, the later ones too. Distinct counts are left out: Polars
builds each click's window anew for `n_unique`, which for one address of 300,000 clicks and a window
of a day is some 10¹⁰ values. Ids become 64-bit hashes as they are read, as for DuckDB.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import pi
from typing import Literal

import polars as pl
import pyarrow as pa

from benchmarks.source import PLACE, Source
from scorer.spec import Counts, Gap, Profile, Spec

KEYS = ("user_id", "session_id", "ip")
PROFILE_KEY = {"user": "user_id", "ip": "ip"}


@dataclass(frozen=True)
class PolarsRolling:
    """Features of a spec without distinct counts."""

    source: Source
    spec: Spec
    ties: Literal["bucket"] = "bucket"
    form: str = "rolling by bucket"

    @property
    def features(self) -> tuple[str, ...]:
        """The features of the spec."""
        return self.spec.names

    def pieces(self) -> Iterator[pa.Table]:
        """Compute every feature and yield them as one table, in log order."""
        clicks = self._read()
        parts = [clicks.select(*self._plain_columns())]
        for key in KEYS:
            counts = [group for group in self.spec.counts if group.entity == (key,)]
            gaps = [gap for gap in self.spec.gaps if gap.entity == (key,)]
            parts.append(_windows(clicks, key, counts, gaps))
        parts += [self._profile(clicks, profile) for profile in self.spec.profiles]
        yield pl.concat(parts, how="horizontal").select(self.features).to_arrow()

    def _read(self) -> pl.DataFrame:
        columns = ("ts", "seq", "click_id", *KEYS, "device", "logged_in")
        return (
            pl.scan_parquet(self.source.files("clicks"), hive_partitioning=False)
            .select(columns)
            .with_columns(pl.col(KEYS).hash())
            .sort("ts", "seq", "click_id")
            .with_row_index(PLACE)
            .with_columns(t=pl.col("ts").dt.epoch("us"))
            .collect()
        )

    def _plain_columns(self) -> Iterator[pl.Expr]:
        yield pl.col("logged_in").cast(pl.Int32)
        for device in self.spec.flags.devices:
            yield (pl.col("device") == device).cast(pl.Int32).alias(f"device_{device}")
        minutes = pl.col("t") // 60_000_000  # the default spec's zone is UTC
        for name, turn in (
            ("hour", minutes % 1440 / 1440),
            ("weekday", (minutes // 1440 + 3) % 7 / 7),
        ):
            yield (turn * 2 * pi).sin().cast(pl.Float32).alias(f"{name}_sin")
            yield (turn * 2 * pi).cos().cast(pl.Float32).alias(f"{name}_cos")

    def _profile(self, clicks: pl.DataFrame, profile: Profile) -> pl.DataFrame:
        kind = pl.Int32 if profile.is_flag else pl.Float32
        key = PROFILE_KEY[profile.table]
        stored = (
            pl.scan_parquet(self.source.files(f"profiles_{profile.table}"), hive_partitioning=False)
            .select(
                pl.col("key").hash().alias(key),
                pl.col("valid_from").dt.epoch("us").alias("t"),
                pl.col(profile.column).cast(kind).alias(profile.name),
            )
            .sort("t")
            .collect()
        )
        found = clicks.select(key, "t").join_asof(stored, on="t", by=key, check_sortedness=False)
        return found.select(pl.col(profile.name).fill_null(profile.default).cast(kind))


def _windows(
    clicks: pl.DataFrame, key: str, counts: Sequence[Counts], gaps: Sequence[Gap]
) -> pl.DataFrame:
    """Return one entity's counts and gaps, in log order."""
    ordered = clicks.select(key, "t", PLACE).sort(key, PLACE)
    columns = [ordered[PLACE]]
    for group in counts:
        for name, window in zip(group.names, group.parsed, strict=True):
            buckets = ordered.select(key, bucket=pl.col("t") // window.resolution)
            rolled = buckets.rolling("bucket", period=f"{window.buckets}i", group_by=key).agg(
                pl.len().cast(pl.Int32).alias(name)
            )
            if not rolled[key].equals(ordered[key]):  # groups may come in any order
                rolled = rolled.sort(key, "bucket")
            columns.append(rolled[name])
    for gap in gaps:
        same = pl.col(key) == pl.col(key).shift()
        since = pl.when(same).then(pl.col("t").diff()).fill_null(gap.cap_us)
        capped = pl.min_horizontal(since, gap.cap_us) // 1000
        columns.append(ordered.select(capped.cast(pl.Int32).alias(gap.name))[gap.name])
    return pl.DataFrame(columns).sort(PLACE).drop(PLACE)
