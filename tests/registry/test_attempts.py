import pytest

from allthings.registry.attempts import Attempts, key_of

S = 1_000_000_000


def test_a_burst_then_one_at_a_time() -> None:
    attempts = Attempts(burst=3, every_s=6, addresses_max=10)
    for _ in range(3):
        assert attempts.wait_s("10.0.0.1", 0) == 0
        attempts.failed("10.0.0.1", 0)
    assert attempts.wait_s("10.0.0.1", 0) == 6
    assert attempts.wait_s("10.0.0.2", 0) == 0
    assert attempts.wait_s("10.0.0.1", 5 * S) == 1
    assert attempts.wait_s("10.0.0.1", 6 * S) == 0
    attempts.failed("10.0.0.1", 6 * S)
    assert attempts.wait_s("10.0.0.1", 6 * S) == 6
    assert attempts.wait_s("10.0.0.1", 100 * S) == 0


def test_who_succeeds_starts_anew() -> None:
    attempts = Attempts(burst=1, every_s=60, addresses_max=10)
    attempts.failed("10.0.0.1", 0)
    assert attempts.wait_s("10.0.0.1", 0) == 60
    attempts.succeeded("10.0.0.1")
    assert attempts.wait_s("10.0.0.1", 0) == 0
    attempts.succeeded("10.0.0.1")


def test_many_failures_at_the_same_time_lock_for_no_longer_than_the_burst_takes() -> None:
    attempts = Attempts(burst=3, every_s=6, addresses_max=10)
    for _ in range(1_000):
        attempts.failed("10.0.0.1", 0)
    assert attempts.wait_s("10.0.0.1", 0) == 6


def test_the_table_is_bounded() -> None:
    attempts = Attempts(burst=1, every_s=60, addresses_max=100)
    for number in range(1_000):
        attempts.failed(f"10.0.{number // 256}.{number % 256}", 0)
    assert sum(attempts.wait_s(f"10.0.{number // 256}.{number % 256}", 0) > 0 for number in range(1_000)) == 100
    assert attempts.wait_s("10.0.3.231", 0) == 60


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a unix socket", "a unix socket"),
    ],
)
def test_one_household_is_one_address(address: str, key: str) -> None:
    assert key_of(address) == key
