from __future__ import annotations

import json
import sys

import msgspec
import pytest

from allthings.cli import output


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (21.499999999999996, "21.499999999999996"),
        (1234567.25, "1234567.25"),
        (1e20, "1e+20"),
        (7.0, "7"),
        (12, "12"),
        (2**64 + 1, "18446744073709551617"),
        (msgspec.Raw(b"0.12345678901234567890123"), "0.12345678901234567890123"),
        (msgspec.Raw(b'"a\\nb"'), "a\nb"),
        (msgspec.Raw(b"null"), ""),
        (msgspec.Raw(b'{"a":18446744073709551617}'), '{"a":18446744073709551617}'),
        ({"a": 2**64 + 1}, '{"a":18446744073709551617}'),
        ("heat", "heat"),
        ({"a": [1]}, '{"a":[1]}'),
    ],
)
def test_values_for_people(value: object, shown: str) -> None:
    assert output.show(value) == shown


def test_a_table_in_a_pipe_is_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_table(["name", "value"], [("x" * 300, 1.5)], right=["value"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "x" * 300 in lines[1]


def test_markup_in_data_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_table(["title"], [("[red]pump[/red]",)])
    assert "[red]pump[/red]" in capsys.readouterr().out


ACTING = "a\x1b[31m\x07\x9b2J\u202eb\u200bc\ufeff\U000e0041\n"
SHOWN = r"a\u001b[31m\u0007\u009b2J\u202eb\u200bc\ufeff\U000e0041\n"


def test_what_would_act_on_a_terminal_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.write_line(ACTING)
    output.write_table(["text"], [(ACTING,), ({"a": ACTING},)])
    output.write_csv([ACTING], [[ACTING]])
    output.remark(ACTING)
    said = capsys.readouterr()
    for line in (*said.out.splitlines(), *said.err.splitlines()):
        assert line.isprintable()
    assert SHOWN in said.out
    assert SHOWN in said.err
    output.write_json({ACTING: ACTING})
    written = capsys.readouterr().out
    assert json.loads(written) == {ACTING: ACTING}
    assert all(line.isprintable() for line in written.splitlines())


def test_what_acts_is_exact_for_programs(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    output.write_csv(["t"], [[ACTING]])
    assert capsysbinary.readouterr().out == f't\n"{ACTING}"\n'.encode()
    output.write_json(ACTING)
    assert capsysbinary.readouterr().out == msgspec.json.encode(ACTING) + b"\n"


def test_json_and_csv(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    output.write_json({"a": "µ", "b": [2**64, 1e300, msgspec.Raw(b"0.10")]})
    out = capsysbinary.readouterr().out
    assert json.loads(out) == {"a": "µ", "b": [2**64, 1e300, 0.1]}
    assert b"0.10\n" in out
    output.write_csv(["a", "b", "c", "d"], [[1, None, True, [1, "x"]], ["x,y", 2.5, "", msgspec.Raw(b"2.50")]])
    assert capsysbinary.readouterr().out == b'a,b,c,d\n1,,true,"[1,""x""]"\n"x,y",2.5,"",2.50\n'


def test_formulas_are_neutralised_on_demand(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    rows = [["=1+1", -5, msgspec.Raw(b'"@SUM(A1)"')], ["-5", "\tx", msgspec.Raw(b"-5")]]
    output.write_csv(["a", "b", "c"], rows, spreadsheet_safe=True)
    assert capsysbinary.readouterr().out == b"a,b,c\n'=1+1,-5,'@SUM(A1)\n'-5,'\tx,-5\n"
