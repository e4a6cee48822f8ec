"""Measurements of speed: each module is a command (`python -m bench.publish --help`), `python -m bench` runs all."""
