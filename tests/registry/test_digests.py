import re

from allthings.registry.digests import digest, new_secret, readable_password


def test_secrets_have_256_bits_and_their_prefix() -> None:
    secrets = {new_secret("atd") for _ in range(100)}
    assert len(secrets) == 100
    assert all(re.fullmatch(r"atd_[A-Za-z0-9_-]{43}", secret) for secret in secrets)


def test_a_digest_is_repeatable_and_of_one_size() -> None:
    assert digest("a") == digest("a") != digest("b")
    assert {len(digest(text)) for text in ("", "a", "x" * 1_000_000, "\ud800")} == {32}


def test_passwords_have_no_letters_that_look_alike() -> None:
    passwords = {readable_password() for _ in range(100)}
    assert len(passwords) == 100
    assert not set("".join(passwords)) & set("0oO1lIi")
