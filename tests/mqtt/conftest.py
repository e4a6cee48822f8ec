"""Hypothesis without a clock: a loaded machine is no finding."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("allthings", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("allthings")
