"""What the drawing of a curve shows."""

from replay.curve_drawing import HEIGHT, WIDTH, curve_lines, draw
from scorer.calibration import Calibration, CurvePoints, SliceFit

POINTS = CurvePoints(thresholds=(1.0, 0.8, 0.6), fpr=(0.0, 0.01, 0.04), ivr=(0.0, 0.3, 0.4))
NOTHING = CurvePoints(thresholds=(1.0,), fpr=(0.0,), ivr=(0.0,))


def fit(points: CurvePoints = POINTS, pooled_with: str | None = None) -> SliceFit:
    return SliceFit(
        pooled_with=pooled_with, clicks=900, purchases=300, fpr=0.02, a=0, b=20, c=0, points=points
    )


def test_the_mark_stands_where_the_threshold_is() -> None:
    for threshold, at in ((1.0, 0), (0.8, WIDTH // 4), (0.6, WIDTH)):
        *rows, axis, ends = draw(fit(), threshold)
        assert len(rows) == HEIGHT
        assert axis.index("▲") == axis.index("▕") + 1 + at
        assert ends.split() == ["0%", "4.00%"]


def test_the_bars_rise_as_the_curve_does() -> None:
    rows = [row.partition("▕")[2] for row in draw(fit(), 0.8)[:HEIGHT]]
    heights = [sum(row[column] != " " for row in rows) for column in range(WIDTH + 1)]
    assert heights == sorted(heights)
    assert heights[0] == 0
    assert heights[WIDTH // 4] in (4, 5)  # 0.3 of 0.4, of six rows
    assert heights[WIDTH] == HEIGHT


def test_slices_that_share_a_curve_are_drawn_once() -> None:
    pooled = fit(pooled_with="device=tv")
    some = Calibration(
        overall=0.9,
        slices={"device=pc": 0.8, "device=tv,a": 0.6, "device=tv,b": 0.6},
        curves={"device=pc": fit(), "device=tv,a": pooled, "device=tv,b": pooled},
    )
    lines = list(curve_lines(some))
    assert sum("▲" in line for line in lines) == 2
    assert [line for line in lines if line and line[0] != " "] == [
        "device=pc",
        "2 small slices of device=tv",
    ]
    assert "  device=tv,a; device=tv,b" in lines
    assert lines.count("  300 purchases among 900 clicks") == 2
    assert "  threshold 0.800000: IVR 30.00% at an FPR of at most 1.00%" in lines


def test_a_curve_without_a_rise_and_a_calibration_without_curves() -> None:
    flat = Calibration(
        overall=1.0, slices={"a\x1b[31m": 1.0}, curves={"a\x1b[31m": fit(points=NOTHING)}
    )
    lines = list(curve_lines(flat))
    assert any("▕▲" in line for line in lines)
    assert not any("\x1b" in line for line in lines)
    assert list(curve_lines(Calibration(overall=0.5))) == []
