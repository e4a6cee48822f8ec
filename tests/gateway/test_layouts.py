"""What former releases kept in the log is read by this one. The samples were written by their own code."""

from __future__ import annotations

import array
import contextlib
import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.gateway import changes, kept, layouts
from allthings.gateway.changes import Change, Claimed, Given, Opened, Subscribed, Taken, WillHeld, WillWaits
from allthings.gateway.errors import NewerLayoutError
from allthings.gateway.kept import KeptDelivery, KeptFlight, KeptRetained, KeptSession, KeptWill
from allthings.log.table import key_of
from allthings.mqtt.packets import Publish
from allthings.mqtt.properties import Properties
from tests.gateway.station import Station

SAMPLES: Final[dict[str, dict[str, str]]] = json.loads((Path(__file__).parent / "layouts.json").read_text())
_BLOCK: Final = 1 << 20
WILL: Final = Publish("w/a", b"gone", 1, True, properties=Properties(content_type="t"))


def number(name: str) -> int:
    return int(name.split()[0])


def sample(name: str, kind: str) -> bytes:
    return bytes.fromhex(SAMPLES[name][kind])


def session(layout: int) -> KeptSession:
    return KeptSession(
        layout=layouts.LAYOUT,
        client="a",
        owner="user-1" if layout > 1 else "",
        keeper="gateway",
        sequence=5,
        followed=6,
        expiry_s=1000,
        left_ns=123,
        subscriptions=[("t/#", 1, False, True, 3), ("$share/g/s", 2, False, False, 0)],
        flights=[KeptFlight(2, 1, 1, 7 * _BLOCK, False, "")],
        inbox=[9],
        positions=array.array("Q", [7 * _BLOCK + 1, 7 * _BLOCK + 2, 8 * _BLOCK]).tobytes(),
        options=array.array("H", [1, 6, 9]).tobytes(),
        elsewhere=[KeptDelivery(b"t/x", b"1", b"", 0, 1, True)],
        dropped=1,
        expired=2,
        shares=["$share/g/s"],
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_a_session_of_each_layout_is_read(name: str) -> None:
    found, will = kept.decode_session(sample(name, "session"))
    assert found == session(number(name))
    assert will == (KeptWill("a", WILL, 0, 456) if number(name) <= 3 else None)


@pytest.mark.parametrize("name", SAMPLES)
def test_retained_messages_of_each_layout_are_read(name: str) -> None:
    assert kept.decode_retained(sample(name, "retained")) == [KeptRetained("t/x", b"21", 1, None, 99, 5 * _BLOCK)]


@pytest.mark.parametrize("name", [name for name, kinds in SAMPLES.items() if "wills" in kinds])
def test_wills_of_each_layout_are_read(name: str) -> None:
    credential = "token:1" if number(name) > 5 or "credentials" in name else ""
    assert kept.decode_wills(sample(name, "wills")) == [KeptWill("a", WILL, 5, 456, credential)]


@pytest.mark.parametrize("name", SAMPLES)
def test_changes_of_each_layout_are_read(name: str) -> None:
    layout = number(name)
    expected: list[Change] = [
        Opened("a", "user-1" if layout > 1 else "", 1000, True),
        Subscribed("a", "t/#", 1, False, True, 3, layout > 1),
        Taken("a", 4),
        Claimed("a", 4, 7 * _BLOCK),
    ]
    if layout <= 3:
        expected += [WillHeld("a", 0, WILL), WillWaits("a", 456)]
    else:
        credential = "token:1" if layout > 5 or "credentials" in name else ""
        expected += [WillHeld("a", 5, WILL, credential), WillWaits("a", 456)]
    if layout > 2:
        expected.append(Given("", 1, [1]))
    assert changes.decode(sample(name, "changes")) == expected


def test_what_is_written_now_is_the_newest_sample() -> None:
    """When this fails the layout has changed: raise layouts.LAYOUT, keep the sample that was the newest, add another,
    and let gateway.layouts make one of the other."""
    newest = str(layouts.LAYOUT)
    assert msgspec.msgpack.encode(session(layouts.LAYOUT)) == sample(newest, "session")
    retained = KeptRetained("t/x", b"21", 1, None, 99, 5 * _BLOCK)
    assert kept.encode_several([msgspec.msgpack.encode(retained)]) == sample(newest, "retained")
    will = KeptWill("a", WILL, 5, 456, "token:1")
    assert kept.encode_several([msgspec.msgpack.encode(will)]) == sample(newest, "wills")
    all_changes = changes.decode(sample(newest, "changes"))
    assert changes.encode([changes.encode_one(each) for each in all_changes]) == sample(newest, "changes")


def newer(kind: str) -> bytes:
    row = msgspec.msgpack.decode(bytes.fromhex(SAMPLES[str(layouts.LAYOUT)][kind]))
    row[0] += 1
    return msgspec.msgpack.encode(row)


DECODERS: Final[dict[str, Any]] = {
    "session": kept.decode_session,
    "retained": kept.decode_retained,
    "wills": kept.decode_wills,
    "changes": changes.decode,
}


@pytest.mark.parametrize("kind", DECODERS)
def test_a_newer_layout_is_refused_in_words(kind: str) -> None:
    with pytest.raises(NewerLayoutError, match=r"newer allthings \(in layout 7, this program knows 6\): install"):
        DECODERS[kind](newer(kind))


def test_a_newer_layout_of_other_fields_is_refused_too() -> None:
    for data in (msgspec.msgpack.encode([99, {"client": "a"}]), msgspec.msgpack.encode([99])):
        for decode in DECODERS.values():
            with pytest.raises(NewerLayoutError):
                decode(data)


@pytest.mark.parametrize("kind", DECODERS)
@given(data=st.data())
def test_damage_is_told_as_damage(kind: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in SAMPLES if kind in SAMPLES[name]]))
    whole = bytes.fromhex(SAMPLES[name][kind])
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(msgspec.DecodeError):
        DECODERS[kind](whole[:cut])
    flipped = bytearray(whole)
    flipped[cut] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(msgspec.DecodeError, NewerLayoutError):
        DECODERS[kind](bytes(flipped))


async def test_a_start_takes_over_rows_of_former_layouts(station: Station) -> None:
    """With the will, which is kept in its own table from then on."""
    row, will = kept.decode_session(sample("3", "session"))
    assert will is not None
    old = msgspec.msgpack.decode(sample("3", "session"))
    # Nothing that this log does not have.
    old[8], old[10], old[11] = [], b"", b""
    await station.keeper._sessions.put(key_of("a"), msgspec.msgpack.encode(old))
    await station.restart()
    sessions = station.broker.sessions
    assert list(sessions.by_client["a"].filters) == [topic_filter for topic_filter, *_ in row.subscriptions]
    assert sessions.wills.stored["a"].message == WILL
    await station.keeper.keep()
    rows = {key: value async for key, value in station.keeper._sessions.rows()}
    assert kept.decode_session(rows[key_of("a")])[0].layout == layouts.LAYOUT
    assert [each.client async for _, value in station.keeper._wills.rows() for each in kept.decode_wills(value)] == [
        "a"
    ]
    await station.restart()
    assert station.broker.sessions.wills.stored["a"].message == WILL


async def test_a_start_over_a_newer_layout_is_refused_and_touches_nothing(station: Station) -> None:
    await station.keeper._sessions.put(key_of("a"), newer("session"))
    await station.crash()
    with pytest.raises(NewerLayoutError):
        await station.start()
    assert [value async for _, value in station.keeper._sessions.rows()] == [newer("session")]
