"""Thresholds files: what they mean, and every mistake in them."""

import pytest

from scorer.errors import BadInput
from scorer.foreign.thresholds import parse_thresholds


def refused(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        parse_thresholds(text, "t.toml")
    found = str(caught.value)
    assert found.startswith("t.toml: ")
    assert "\n" not in found
    return found


def test_one_threshold_for_all() -> None:
    found = parse_thresholds("overall = 0.25", "t.toml")
    assert found.calibration.threshold("device=tv,logged_in=true") == 0.25
    assert found.slice_columns == ("device", "logged_in")


def test_a_threshold_for_each_slice_by_columns_of_one_s_own() -> None:
    text = 'overall = 1\nslice_columns = ["advertiser_id"]\n[slices]\n"advertiser_id=a%2Cb" = 0\n'
    found = parse_thresholds(text, "t.toml")
    assert found.calibration.thresholds(["advertiser_id=a%2Cb", "x"]).tolist() == [0, 1]
    assert found.slice_columns == ("advertiser_id",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "overall: Field required"),
        ("overall = ", "not TOML"),
        ("overall = 1.01", "overall: Input should be less than or equal to 1"),
        ("overall = -0.1", "overall: Input should be greater than or equal to 0"),
        ("overall = nan", "overall: Input should be"),
        ("overall = true", "overall: Input should be a valid number"),
        ('overall = "0.5"', "overall: Input should be a valid number"),
        ("overall = 0.5\nbudget = 1", "budget: Extra inputs are not permitted"),
        ("overall = 0.5\nslice_columns = []", "slice_columns: List should have at least 1"),
        ('overall = 0.5\nslice_columns = ["devise"]', "by 'devise'. Did you mean device or"),
        ('overall = 0.5\nslice_columns = ["ip", "ip"]', "slice_columns names a column twice"),
        ('overall = 0.5\nslices."device=tv" = 0.5', "'device=tv' is no slice by device, logged_in"),
        (
            'overall = 0.5\nslices."logged_in=true,device=tv" = 0.5',
            "write it as device=…,logged_in=…",
        ),
        ('overall = 0.5\nslices."device=a=b,logged_in=true" = 0.5', "is no slice by"),
        ('overall = 0.5\nslices."device=50%,logged_in=true" = 0.5', "is no slice by"),
        ('overall = 0.5\nslices."device=tv,logged_in=yes" = 0.5', "logged_in is true or false"),
        ('overall = 0.5\nslices."device=tv,logged_in=true" = 2', "logged_in=true: Input should be"),
    ],
)
def test_mistakes(text: str, said: str) -> None:
    assert said in refused(text)
