"""References that stand for addresses which are not known yet."""

from __future__ import annotations

from chaoskit.address import Address


def test_a_path_is_added_as_with_pathlib() -> None:
    address = Address("http://shop-0123456789ab.invalid")
    assert str(address / "v1" / "charges") == "http://shop-0123456789ab.invalid/v1/charges"
    assert str(address / "/v1/" / "/charges") == "http://shop-0123456789ab.invalid/v1/charges"
    assert str(address) == "http://shop-0123456789ab.invalid"


def test_every_reference_is_its_own_and_keeps_a_readable_name() -> None:
    first, second = Address.new("shop"), Address.new("shop")
    assert first != second
    assert first.token.startswith("http://shop-")
    assert first.token.endswith(".invalid")


def test_any_name_becomes_part_of_a_host_name() -> None:
    for name in ("My Shop!", "", "--", "a" * 100):
        host = Address.new(name).token.removeprefix("http://")
        assert all(letter.isalnum() or letter in "-." for letter in host), host
        assert not host.startswith("-")
        assert len(host.split(".")[0]) <= 63
