import pytest

from allthings.connectors import settings
from allthings.connectors.routes import Route, Routes
from allthings.registry.bridges import TopicMap


@pytest.mark.parametrize(
    ("wanted", "topic", "found"),
    [
        (TopicMap("out", "a/#"), "a/b", Route("a/b", 1, True)),
        (TopicMap("out", "a/#", prefix="x/"), "a/b", Route("x/a/b", 1, True)),
        (TopicMap("out", "a/#", prefix="x/", strip="a/"), "a/b", Route("x/b", 1, True)),
        (TopicMap("out", "a/+", qos=0, retain=False), "a/b", Route("a/b", 0, False)),
        (TopicMap("out", "a/+"), "a/b/c", None),
        (TopicMap("out", "#"), "$SYS/x", None),
        # a/# also matches a, from which a/ cannot be taken away
        (TopicMap("out", "a/#", strip="a/"), "a", None),
        (TopicMap("out", "a/#", strip="a/", prefix="x"), "a/", Route("x", 1, True)),
        # what would begin with $ on the other side does not cross
        (TopicMap("out", "a/#", strip="a/"), "a/$SYS/b", None),
        (TopicMap("out", "a/#", strip="a/"), "a/", None),
        (TopicMap("in", "a/#"), "a/b", None),
    ],
)
def test_what_becomes_of_a_topic(wanted: TopicMap, topic: str, found: Route | None) -> None:
    routes = Routes([wanted], "out")
    assert routes.find(topic) == found
    assert routes.find(topic) == found  # remembered


def test_the_first_map_that_matches_says_it() -> None:
    routes = Routes([TopicMap("in", "a/b", prefix="1/"), TopicMap("in", "a/#", prefix="2/")], "in")
    assert routes.find("a/b") == Route("1/a/b", 1, True)
    assert routes.find("a/c") == Route("2/a/c", 1, True)


def test_no_maps_are_no_routes() -> None:
    assert not Routes([TopicMap("in", "a")], "out")
    assert Routes([TopicMap("in", "a")], "in")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allthings.connectors.routes.ROUTES_REMEMBERED", 3)
    routes = Routes([TopicMap("in", "#")], "in")
    for number in range(10):
        assert routes.find(f"t/{number}") == Route(f"t/{number}", 1, True)
        assert len(routes._known) <= 3
    assert settings.ROUTES_REMEMBERED > 3
