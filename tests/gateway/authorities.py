"""Authorities that sign certificates of servers and devices."""

from __future__ import annotations

from pathlib import Path

from allthings.gateway.certificates import CertificateFiles
from allthings.runtime.authority import Authority, server_names
from allthings.things.times import now_ns


def made(folder: Path) -> Authority:
    authority = Authority(folder, now_ns())
    authority.create(server_names([]))
    return authority


def files(authority: Authority) -> CertificateFiles:
    return CertificateFiles(*authority.server, authority.clients)
