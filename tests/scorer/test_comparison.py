"""Two versions side by side: which features differ, which figures stand beside each other."""

from pathlib import Path

import pytest

from scorer.calibration import Calibration
from scorer.comparison import Comparison, Measured, Metric, Side, SliceThreshold, compare, features
from scorer.registry import Registry
from scorer.spec import Spec, load_spec, parse_spec
from tests.scorer.models import SPEC, module


def spec(**groups: object) -> Spec:
    return parse_spec({"flags": {"logged_in": True}, **groups}, "test")


IP = [{"entity": "ip", "windows": ["1h@1m"]}]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {}, []),
        ({"counts": IP}, {"counts": IP}, []),
        ({"counts": IP}, {}, [("clicks_ip_1h", "clicks of ip, 1h in steps of 1m", None)]),
        (
            {"gaps": [{"entity": "ip", "cap": "90m"}]},
            {"gaps": [{"entity": "ip", "cap": "45s"}]},
            [("gap_ms_ip", "gap of ip, at most 90m", "gap of ip, at most 45s")],
        ),
        (
            {"profiles": [{"table": "user", "column": "age", "default": 1.5}]},
            {"profiles": [{"table": "user", "column": "age", "default": False}]},
            [("user_age", "profile, 1.5 where unknown", "profile, false where unknown")],
        ),
        (
            {"time": {"zone": "UTC", "parts": ["hour_sin"]}},
            {"time": {"zone": "Europe/Berlin", "parts": ["hour_sin"]}},
            [("hour_sin", "time in UTC", "time in Europe/Berlin")],
        ),
        (
            {},
            {
                "distincts": [{"entity": "ip,device", "member": "user_id", "windows": ["24h@15m"]}],
                "flags": {"logged_in": True, "devices": ["tv"]},
            },
            [
                (
                    "users_ip_device_24h",
                    None,
                    "distinct user_id of ip and device, 24h in steps of 15m",
                ),
                ("device_tv", None, "flag"),
            ],
        ),
    ],
)
def test_features_that_differ(
    first: dict[str, object], second: dict[str, object], expected: list[tuple[str, str, str]]
) -> None:
    one, other = spec(**first), spec(**second)
    found = [(each.name, each.first, each.second) for each in features(one, other)]
    assert found == expected
    turned = [(name, there, here) for name, here, there in expected]
    assert [(each.name, each.first, each.second) for each in features(other, one)] == turned


def test_every_feature_of_the_shipped_spec_has_words() -> None:
    shipped = load_spec("default")
    found = features(shipped, spec())
    assert len(found) == len(shipped.names) - 1  # logged_in is in both
    assert all(each.first and each.second is None for each in found)
    assert {each.name for each in found if each.first == "flag"} == {
        name for name in shipped.names if name.startswith("device_")
    }


@pytest.fixture
def compared(tmp_path: Path) -> Comparison:
    registry = Registry(tmp_path)
    calibrations = (
        Calibration(overall=0.5, slices={"device=a": 0.25, "device=b": 0.75}),
        Calibration(overall=0.625, slices={"device=b": 0.5, "device=c": 0.125}, fpr_budget=0.01),
    )
    metrics: tuple[dict[str, int | float | None], ...] = (
        {"rows": 9, "ivr": 0.5, "ivr_low": 0.25, "ivr_high": 0.75},
        {"ivr": None, "ivr_low": 0.0, "ivr_high": 1.0, "slowest_low": 3},
    )
    made = [
        registry.write(name, module("velocity"), SPEC, calibration, metrics=measured)
        for name, calibration, measured in zip("ab", calibrations, metrics, strict=True)
    ]
    return compare(*(Side(v.manifest, v.calibration, v.digest) for v in made))


def test_metrics_stand_with_their_intervals(compared: Comparison) -> None:
    assert compared.metrics == (
        Metric("rows", Measured(9), None),
        Metric("ivr", Measured(0.5, 0.25, 0.75), Measured(None, 0.0, 1.0)),
        Metric("slowest_low", None, Measured(3)),
    )


def test_a_slice_without_a_threshold_takes_the_overall_one(compared: Comparison) -> None:
    def row(name: str, values: tuple[float, float], own: tuple[bool, bool]) -> SliceThreshold:
        return SliceThreshold(name, *values, *own)

    assert compared.thresholds == (
        row("overall", (0.5, 0.625), (True, True)),
        row("device=a", (0.25, 0.625), (True, False)),
        row("device=b", (0.75, 0.5), (True, True)),
        row("device=c", (0.5, 0.125), (False, True)),
    )


def test_weights_are_the_same_or_not(compared: Comparison, tmp_path: Path) -> None:
    assert compared.same_weights
    assert compared.shared == len(SPEC.names)
    other = Registry(tmp_path).write(
        "c", module("logistic", seed=1), SPEC, Calibration(overall=0.5)
    )
    side = Side(other.manifest, other.calibration, other.digest)
    assert not compare(compared.first, side).same_weights
