"""What people install has the console in it, or says why it cannot."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from allthings.console import static_dir

ROOT = Path(__file__).parents[2]
INDEX = "allthings/console/static/index.html"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the repository has, without what was built in it."""
    place = tmp_path / "clone"
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "NOTICE"):
        place.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, place / name)
    ignored = shutil.ignore_patterns("__pycache__", "static")
    shutil.copytree(ROOT / "src", place / "src", ignore=ignored)
    return place


def build(clone: Path, *targets: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Build without Node on the PATH."""
    arguments = [word for target in targets for word in ("--target", target)]
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *arguments],
        cwd=clone,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_without_a_console_and_without_node_nothing_is_built(clone: Path) -> None:
    for target in ("wheel", "sdist"):
        done = build(clone, target)
        assert done.returncode != 0
        assert "the web console is not built, and there is no Node to build it with: run `make wheel`" in done.stderr
    assert not list(clone.glob("dist/*"))


def test_an_old_node_is_named(clone: Path) -> None:
    programs = clone / "programs"
    programs.mkdir()
    for name in ("node", "npm"):
        (programs / name).write_text("#!/bin/sh\necho v18.1.0\n")
        (programs / name).chmod(0o755)
    done = build(clone, "wheel", path=f"{programs}:/bin")
    assert done.returncode != 0
    assert "Node v18.1.0 is older than 20" in done.stderr


def test_wheel_and_sdist_have_the_console(clone: Path) -> None:
    built = static_dir()
    if built is None:
        pytest.skip("the console is not built (make console)")
    shutil.copytree(built, clone / "src" / Path(INDEX).parent)
    done = build(clone, "wheel", "sdist")
    assert done.returncode == 0, done.stderr
    (wheel,), (sdist,) = clone.glob("dist/*.whl"), clone.glob("dist/*.tar.gz")
    with zipfile.ZipFile(wheel) as opened:
        assert INDEX in opened.namelist()
    with tarfile.open(sdist) as opened:
        assert any(name.endswith(f"src/{INDEX}") for name in opened.getnames())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_the_unit_is_one(tmp_path: Path) -> None:
    unit = (ROOT / "deploy/systemd/allthings.service").read_text()
    assert "/opt/allthings/bin/allthings up" in unit
    (tmp_path / "allthings.service").write_text(unit.replace("/opt/allthings/bin/allthings", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "allthings.service")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
