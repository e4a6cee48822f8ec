"""A Debian package of allthings with everything that it needs, for this machine's release and architecture.

    scripts/make_deb.py [--output DIR] [WHEEL]

The package has a virtual environment at /opt/allthings, made here with the wheel (default: the newest in dist/) and the
versions of requirements.lock, for the Python that this script runs with; and the systemd unit. It is built with
dpkg-deb and needs no root.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = Path("/opt/allthings")
DEBIAN = ROOT / "deploy/debian"
SYSTEMD = ROOT / "deploy/systemd"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", nargs="?", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    chosen = parser.parse_args()
    wheel = chosen.wheel or newest_wheel()
    chosen.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        fill(tree, wheel)
        print(build(tree, wheel.name.split("-")[1], chosen.output))
    return 0


def newest_wheel() -> Path:
    found = sorted((ROOT / "dist").glob("allthings-*.whl"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SystemExit("there is no wheel in dist/: make it with `make wheel`")
    return found[-1]


def fill(tree: Path, wheel: Path) -> None:
    """Put the files of the package where they will be, below `tree`."""
    environment = tree / HOME.relative_to("/")
    venv.create(environment, with_pip=True, symlinks=True)
    python = environment / "bin/python"
    pip = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-cache-dir",
        "--no-compile",
        "--disable-pip-version-check",
    ]
    # The lock holds more than the package asks for; what it asks for gets the version of the lock.
    versions = tree / "constraints.txt"
    pins = re.findall(
        r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?(==[^\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    versions.write_text("".join(f"{name}{version}\n" for name, version in pins))
    subprocess.run([*pip, "--constraint", str(versions), str(wheel)], check=True)
    versions.unlink()
    relocate(environment)
    for source, place in (
        (SYSTEMD / "allthings.service", "usr/lib/systemd/system/allthings.service"),
        (DEBIAN / "copyright", "usr/share/doc/allthings/copyright"),
    ):
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, tree / place)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/allthings").symlink_to(HOME / "bin/allthings")


def relocate(environment: Path) -> None:
    """Programs name the Python that they run with: not where it was made, but where it will be."""
    for path in (environment / "bin").iterdir():
        if path.is_symlink() or not path.read_bytes().startswith((b"#!", b"# This file must be used")):
            continue
        path.write_text(path.read_text().replace(str(environment), str(HOME)))
    for name in ("python", "python3", f"python{sys.version_info.major}.{sys.version_info.minor}"):
        (environment / "bin" / name).unlink(missing_ok=True)
        (environment / "bin" / name).symlink_to(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    configuration = environment / "pyvenv.cfg"
    lines = [line for line in configuration.read_text().splitlines() if not line.startswith(("command", "executable"))]
    configuration.write_text("\n".join("home = /usr/bin" if line.startswith("home") else line for line in lines) + "\n")
    for waste in environment.rglob("__pycache__"):
        shutil.rmtree(waste)
    compileall.compile_dir(str(environment), stripdir=str(environment.parents[1]), prependdir="/", quiet=2, workers=0)


def build(tree: Path, version: str, output: Path) -> Path:
    """The package of what is below `tree`."""
    control = tree / "DEBIAN"
    control.mkdir()
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    minor = sys.version_info.minor
    words = {
        "@VERSION@": version,
        "@ARCHITECTURE@": architecture.stdout.strip(),
        "@PYTHON@": f"python3 (>= 3.{minor}), python3 (<< 3.{minor + 1})",
    }
    text = (DEBIAN / "control.in").read_text()
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    (control / "control").write_text(text)
    for name in ("postinst", "prerm", "postrm"):
        shutil.copyfile(DEBIAN / name, control / name)
        (control / name).chmod(0o755)
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    made = output / f"allthings_{version}_{words['@ARCHITECTURE@']}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", str(tree), str(made)], check=True)
    return made


if __name__ == "__main__":
    sys.exit(main())
