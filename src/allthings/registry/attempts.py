"""How often one address may fail to show who it is: a token bucket for each, in a bounded table."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, IPv6Network, ip_address

from allthings.registry.settings import ATTEMPT_ADDRESSES_MAX, ATTEMPT_EVERY_S, ATTEMPTS_BURST
from allthings.things.times import NS_PER_S


class Attempts:
    """Failures by address. While an address has none left, nothing is verified for it, so it can burn no time.

    An address may fail ATTEMPTS_BURST times at once, and gets one more failure each ATTEMPT_EVERY_S. Who succeeds
    starts anew. The addresses that failed longest ago are forgotten first.
    """

    def __init__(
        self,
        burst: int = ATTEMPTS_BURST,
        every_s: float = ATTEMPT_EVERY_S,
        addresses_max: int = ATTEMPT_ADDRESSES_MAX,
    ) -> None:
        self._burst = burst
        self._every_ns = int(every_s * NS_PER_S)
        self._addresses_max = addresses_max
        #: Address to the moment at which its bucket will be full again: one number tells all.
        self._full_ns: OrderedDict[str, int] = OrderedDict()

    def wait_s(self, address: str, now_ns: int) -> int:
        """0 if the address may try, else for how many seconds not."""
        owed_ns = self._full_ns.get(key_of(address), 0) - now_ns
        over_ns = owed_ns - (self._burst - 1) * self._every_ns
        return -(-over_ns // NS_PER_S) if over_ns > 0 else 0

    def failed(self, address: str, now_ns: int) -> None:
        """Count one failure."""
        key = key_of(address)
        full_ns = max(self._full_ns.pop(key, 0), now_ns)
        # However many failed at the same time, it is never locked for longer than the bucket takes to fill.
        self._full_ns[key] = min(full_ns + self._every_ns, now_ns + self._burst * self._every_ns)
        if len(self._full_ns) > self._addresses_max:
            self._full_ns.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Start anew."""
        self._full_ns.pop(key_of(address), None)


def key_of(address: str) -> str:
    """One household is one IPv4 address or one IPv6 /64."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Network((int(ip), 64), strict=False))
    return str(ip)
