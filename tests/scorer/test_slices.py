"""Slices, numbered for many clicks as written for one."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.slices import slice_codes, slice_key

ROW = st.tuples(st.sampled_from(["tv", "a,b", "a=b", "%2C", None]), st.sampled_from([True, False]))


@settings(deadline=None)
@given(rows=st.lists(ROW, max_size=20), cut=st.integers(0, 20))
def test_every_click_has_the_key_of_its_values(
    rows: list[tuple[str | None, bool]], cut: int
) -> None:
    def part(some: list[tuple[str | None, bool]]) -> pa.Table:
        devices = pa.array([device for device, _ in some], pa.string())
        return pa.table({"device": devices, "on": pa.array([on for _, on in some], pa.bool_())})

    clicks = pa.concat_tables([part(rows[:cut]), part(rows[cut:])])
    codes, keys = slice_codes(clicks, ["device", "on"])
    expected = [slice_key({"device": device, "on": on}) for device, on in rows]
    assert [keys[code] for code in codes] == expected
    assert keys == sorted(set(expected))
    assert len(keys) == len(set(rows))
