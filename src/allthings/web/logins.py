"""How often one address may fail to log in."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, IPv6Network, ip_address

from allthings.things.times import NS_PER_S
from allthings.web import settings
from allthings.web.errors import TooManyRequestsError


class FailedLogins:
    """Counts failures by address in windows; bounded, the addresses seen longest ago are forgotten first."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def check(self, address: str, now_ns: int) -> None:
        """Raises TooManyRequestsError when the address has failed too often within the window."""
        count, until = self._failures.get(_key(address), (0, 0))
        if count >= settings.LOGIN_FAILURES_MAX and now_ns < until:
            wait_s = -(-(until - now_ns) // NS_PER_S)
            raise TooManyRequestsError(
                f"{count} logins from this address failed; try again in {wait_s} s", retry_after_s=wait_s
            )

    def failed(self, address: str, now_ns: int) -> None:
        """Count one failure."""
        key = _key(address)
        count, until = self._failures.pop(key, (0, 0))
        if now_ns >= until:
            count, until = 0, now_ns + int(settings.LOGIN_WINDOW_S * NS_PER_S)
        self._failures[key] = (count + 1, until)
        if len(self._failures) > settings.LOGIN_ADDRESSES_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Start anew."""
        self._failures.pop(_key(address), None)


def _key(address: str) -> str:
    """One household is one IPv4 address or one IPv6 /64."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is None:
        return str(IPv6Network((ip, 64), strict=False))
    return str(ip)
