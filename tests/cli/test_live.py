"""Server-sent events, with the examples of the standard (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

import pytest

from allthings.cli.live import Event, events, lines


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("data: YHOO\ndata: +2\ndata: 10\n\n", [Event("message", "", "YHOO\n+2\n10")]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
            [Event("message", "1", "first event"), Event("message", "", "second event")],
        ),
        ("data\n\ndata\ndata\n\ndata:", [Event("message", "", ""), Event("message", "", "\n")]),
        ("data:test\n\ndata: test\n\n", [Event("message", "", "test")] * 2),
        (
            "event: values\nid: 17\ndata: {}\n\n: alive\n\ndata: {}\n\n",
            [Event("values", "17", "{}"), Event("message", "17", "{}")],
        ),
        ("id: a\0b\ndata: x\n\n", [Event("message", "", "x")]),
        ("retry: 5\nunknown: y\n\n", []),
        ("retry: 5\nid: 9\n\n: alive\n\n", [Event("message", "9", "")]),
    ],
)
def test_events(stream: str, expected: list[Event]) -> None:
    assert list(events(stream.split("\n")[:-1])) == expected


def test_an_id_is_kept_over_a_reconnection() -> None:
    assert list(events(["data: x", ""], last_id="41")) == [Event("message", "41", "x")]


def test_lines_end_where_the_platform_ends_them() -> None:
    text = "data: a\u2028b\u0085c\x0bd\n\nid: 7\n"
    encoded = text.encode()
    for cut in range(len(encoded)):
        assert list(lines([encoded[:cut], encoded[cut:]])) == ["data: a\u2028b\u0085c\x0bd", "", "id: 7"]
