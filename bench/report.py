"""How figures are shown: a Markdown table for people, or one JSON object for programs."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import machine


@dataclass
class Report:
    """The outcome of one measurement. `targets` holds (what, figure, bound, met)."""

    title: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    targets: list[tuple[str, float, str, bool]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def at_least(self, what: str, figure: float, bound: float) -> None:
        """Note a figure that should not be smaller than its bound."""
        self.targets.append((what, round(figure, 3), f">= {bound:g}", figure >= bound))

    def below(self, what: str, figure: float, bound: float) -> None:
        """Note a figure that should be smaller than its bound."""
        self.targets.append((what, round(figure, 3), f"< {bound:g}", figure < bound))

    def markdown(self) -> str:
        """The report as Markdown."""
        parts = [f"## {self.title}", "", table(self.columns, self.rows)]
        if self.targets:
            verdicts = [[what, figure, bound, "yes" if met else "NO"] for what, figure, bound, met in self.targets]
            parts += ["", table(["target", "measured", "bound", "met"], verdicts)]
        return "\n".join([*parts, *(f"\n{note}" for note in self.notes), ""])


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table, its columns padded to be read as it stands."""
    cells = [[_cell(value) for value in row] for row in [list(columns), *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def machine_markdown(facts: dict[str, str]) -> str:
    """One line that says what was measured on."""
    return "Measured on: " + ", ".join(f"{name} {value}" for name, value in facts.items() if value) + "."


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A command line with what every measurement has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return made


def run(arguments: argparse.Namespace, measure: Callable[[argparse.Namespace], Report]) -> None:
    """Measure, print, and end with status 1 when a target was missed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As Ctrl-C does: what was started is ended and its folders are removed on the way out.
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    facts = machine.facts()
    report = measure(arguments)
    if arguments.json:
        print(json.dumps({"machine": facts, **asdict(report)}))
    else:
        print(report.markdown())
        print(machine_markdown(facts))
    sys.exit(0 if all(met for *_, met in report.targets) else 1)


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)
