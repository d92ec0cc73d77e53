"""Feature specs: reading, refusing with a line that helps, and digests that stay what they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from scorer.errors import BadSpec
from scorer.spec import SECOND, Spec, Window, duration, load_spec, parse_spec

HOUR = 3600 * SECOND
COUNT = {"entity": "ip", "windows": ["1m@1s"]}
PROFILE = {"table": "user", "column": "age", "default": 0.0}
DEFAULT_NAMES = (
    *(f"clicks_{key}_{w}" for key in ("user", "session", "ip") for w in ("1m", "10m", "1h", "24h")),
    *(f"{member}_ip_{window}" for member in ("users", "sessions") for window in ("1h", "24h")),
    *("gap_ms_user", "gap_ms_session", "gap_ms_ip"),
    *("logged_in", "device_desktop", "device_mobile_web", "device_mobile_app", "device_tablet"),
    *("ip_is_datacenter", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos"),
    "user_account_age_days",
)


def spec(**parts: object) -> Spec:
    """Parse a spec of the parts given."""
    return parse_spec(parts, "test")


def test_default_spec_holds_what_the_design_lists() -> None:
    default = load_spec("default")
    assert default.names == DEFAULT_NAMES
    assert default.facts + default.reals == default.names
    assert default.reals == DEFAULT_NAMES[-5:]
    assert default.look_back == 24 * HOUR
    windows = [(w.length, w.resolution) for w in default.counts[0].parsed]
    minute = 60 * SECOND
    assert windows == [
        (minute, SECOND),
        (10 * minute, 10 * SECOND),
        (HOUR, minute),
        (24 * HOUR, 15 * minute),
    ]
    assert {gap.cap_us for gap in default.gaps} == {4 * HOUR}
    assert default.entities == (("user_id",), ("session_id",), ("ip",))
    assert default.label_features() == ()


@pytest.mark.parametrize(
    ("text", "micros"),
    [("1s", SECOND), ("10m", 600 * SECOND), ("24h", 24 * HOUR), ("7d", 168 * HOUR)],
)
def test_durations(text: str, micros: int) -> None:
    assert duration(text) == micros


@pytest.mark.parametrize(
    "text", ["", "0s", "1", "m", "-1m", "1.5h", "1 m", "1M", "01m", "1h30m", "1m\n"]
)
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(BadSpec, match="is no duration: write a whole number and s, m, h or d"):
        duration(text)


def test_a_window_has_whole_buckets() -> None:
    window = Window.parse("24h@15m")
    assert (window.name, window.length, window.resolution) == ("24h", 24 * HOUR, HOUR // 4)
    assert window.buckets == 96
    assert Window.parse("1m@1m").buckets == 1


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"counts": [{**COUNT, "windows": ["1m@7s"]}]}, r"the resolution 7s does not divide 1m"),
        ({"counts": [{**COUNT, "windows": ["1m@2m"]}]}, r"the resolution 2m does not divide 1m"),
        ({"counts": [{**COUNT, "windows": ["1m"]}]}, r"'1m' has no resolution: write it as 1h@1m"),
        ({"counts": [{**COUNT, "windows": ["soon@1s"]}]}, r"'soon' is no duration"),
        ({"counts": [{**COUNT, "windows": []}]}, r"counts\.0\.windows"),
        ({"counts": [{**COUNT, "entity": "usr_id"}]}, r"no click column named 'usr_id'.*user_id"),
        ({"counts": [{**COUNT, "entity": "ip, ip"}]}, r"names a column twice"),
        ({"counts": [{**COUNT, "entity": ""}]}, r"no click column named ''"),
        ({"counts": [{**COUNT, "entity": []}]}, r"counts\.0\.entity"),
        ({"counts": [COUNT, COUNT]}, r"clicks_ip_1m is listed twice"),
        ({"counts": [{**COUNT, "windows": ["1m@1s", "1m@30s"]}]}, r"clicks_ip_1m is listed twice"),
        (
            {"distincts": [{**COUNT, "member": "sesion_id"}]},
            r"'sesion_id'.*Did you mean session_id",
        ),
        (
            {"distincts": [{**COUNT, "member": "user_id", "windows": ["1h@7m"]}]},
            r"7m does not divide",
        ),
        ({"distincts": [COUNT]}, r"distincts\.0\.member"),
        ({"gaps": [{"entity": "ipp"}]}, r"no click column named 'ipp'"),
        ({"gaps": [{"entity": "ip", "cap": "4 hours"}]}, r"'4 hours' is no duration"),
        ({"gaps": [{"entity": "ip"}, {"entity": "ip", "cap": "1h"}]}, r"gap_ms_ip is listed twice"),
        ({"time": {"zone": "Mars/Olympus"}}, r"time\.zone: 'Mars/Olympus' is no time zone name"),
        ({"time": {"zone": "../etc"}}, r"is no time zone name"),
        ({"time": {"parts": ["minute_sin"]}}, r"time\.parts"),
        ({"profiles": [{**PROFILE, "table": "agent"}]}, r"profiles\.0\.table"),
        ({"profiles": [{**PROFILE, "column": "x; DROP TABLE"}]}, r"profiles\.0\.column"),
        ({"profiles": [{**PROFILE, "default": "none"}]}, r"profiles\.0\.default"),
        ({"profiles": [PROFILE, {**PROFILE, "default": True}]}, r"user_age is listed twice"),
        ({"coutns": [COUNT]}, r"coutns"),
        ({"flags": {"logged_in": False}}, r"a spec needs at least one feature"),
    ],
)
def test_specs_that_cannot_be_computed(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(BadSpec, match=says) as caught:
        spec(**parts)
    assert str(caught.value).startswith("spec test: ")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_several_problems_are_told_together() -> None:
    with pytest.raises(BadSpec, match=r"counts\.0\.entity.*gaps\.0\.entity"):
        spec(counts=[{**COUNT, "entity": "ipp"}], gaps=[{"entity": "userid"}])


@pytest.mark.parametrize("data", [[], "counts", None, 3])
def test_a_spec_is_a_table(data: object) -> None:
    with pytest.raises(BadSpec, match="spec test"):
        parse_spec(data, "test")


def test_entities_of_several_columns() -> None:
    counts = {"entity": "ip, user_agent", "windows": ["1m@1s", "1h@1m"]}
    written = spec(counts=[counts], gaps=[{"entity": ["ip", "user_agent"]}])
    assert written.entities == (("ip", "user_agent"),)
    assert written.facts[:3] == (
        "clicks_ip_user_agent_1m",
        "clicks_ip_user_agent_1h",
        "gap_ms_ip_user_agent",
    )


def test_a_boolean_default_makes_a_fact_and_a_number_a_real() -> None:
    flag = {"table": "ip", "column": "is_datacenter", "default": False}
    whole = {"table": "user", "column": "rfm_score", "default": 0}
    written = spec(flags={"logged_in": False}, profiles=[flag, whole])
    assert written.facts == ("ip_is_datacenter",)
    assert written.reals == ("user_rfm_score",)
    assert written.label_features() == ("user_rfm_score",)


def test_look_back_is_the_longest_window_or_cap() -> None:
    assert spec().look_back == 0
    assert spec(counts=[COUNT]).look_back == 60 * SECOND
    assert spec(counts=[COUNT], gaps=[{"entity": "ip", "cap": "5m"}]).look_back == 300 * SECOND
    far = {**COUNT, "member": "user_id", "windows": ["1m@1s", "2d@1h"]}
    assert spec(counts=[COUNT], distincts=[far]).look_back == 48 * HOUR


def test_canonical_json_comes_back_as_the_same_spec() -> None:
    default = load_spec("default")
    again = parse_spec(json.loads(default.canonical()), "manifest")
    assert again == default
    assert again.canonical() == default.canonical()
    assert again.digest == default.digest
    assert again.names == default.names


def test_the_digest_does_not_depend_on_how_the_spec_is_written() -> None:
    counts = {"entity": "ip, user_agent", "windows": ["1m@1s"]}
    listed = {"windows": ["1m@1s"], "entity": ["ip", "user_agent"]}
    assert spec(counts=[counts]).digest == spec(counts=[listed]).digest
    assert spec(counts=[counts]).digest == spec(flags={"devices": []}, counts=[listed]).digest


@pytest.mark.parametrize(
    "other",
    [
        {"counts": [{**COUNT, "windows": ["1m@2s"]}]},
        {"counts": [COUNT], "time": {}},
        {"counts": [COUNT], "flags": {"devices": ["tablet"]}},
        {"counts": [COUNT], "gaps": [{"entity": "ip"}]},
    ],
)
def test_the_digest_tells_specs_apart(other: dict[str, Any]) -> None:
    assert spec(**other).digest != spec(counts=[COUNT]).digest


def test_the_default_spec_keeps_its_digest() -> None:
    """Stored models name their spec by it: changing the default must be a decision."""
    assert load_spec("default").digest == (
        "fe98aaaa5fe5ca8317304ee7c8ad046bde1cafca1c7ced0bc2f92761c8fe694d"
    )


def test_a_spec_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[[counts]]\nentity = "ip"\nwindows = ["1m@1s"]\n')
    assert load_spec(str(file)) == spec(counts=[COUNT])


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"[[counts]\n", "not TOML"), (b"\xff\xfe", "not TOML"), (b"x = 1\n", "x")],
)
def test_files_that_are_no_spec(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(content)
    with pytest.raises(BadSpec, match=says) as caught:
        load_spec(str(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spec_that_is_not_there() -> None:
    with pytest.raises(BadSpec, match=r"no spec named 'defualt' .*Did you mean default\?"):
        load_spec("defualt")
    with pytest.raises(BadSpec, match=r"no such file\. Shipped: default"):
        load_spec("no/such/file.toml")


def test_a_spec_cannot_be_changed() -> None:
    default = load_spec("default")
    with pytest.raises(ValueError, match="frozen"):
        default.counts = ()
