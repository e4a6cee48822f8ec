from __future__ import annotations

import json

import pytest

from allthings.cli import output


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (21.499999999999996, "21.5"),
        (1234567.25, "1234567.2"),
        (12, "12"),
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


def test_json_and_csv(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    output.write_json({"a": "µ"})
    assert json.loads(capsysbinary.readouterr().out) == {"a": "µ"}
    output.write_csv(["a", "b"], [[1, None], ["x,y", 2.5]])
    assert capsysbinary.readouterr().out == b'a,b\r\n1,\r\n"x,y",2.5\r\n'
