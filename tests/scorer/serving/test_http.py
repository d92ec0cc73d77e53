"""The paths of the service, over real sockets."""

from collections.abc import Iterator

import pytest

from tests.scorer.serving.service import Service, click, service


@pytest.fixture(scope="module")
def live() -> Iterator[Service]:
    with service() as running:
        yield running


def test_one_click_is_decided(live: Service) -> None:
    response = live.post(click("one"))
    assert response.status_code == 200
    assert response.json()["click_id"] == "one"
    assert response.json()["decision"] in ("valid", "invalid")
