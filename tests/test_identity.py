"""Who calls, from what a golden call or the command line writes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from company import CUSTOMER, DIRECTORY, PEERS, SHOP

from sipacr.routing.identity import address, make_request

TRUSTED = replace(DIRECTORY, peers={**PEERS, "trunk-a": replace(PEERS["trunk-a"], trusted=True)})
ASSERTED = {"p-asserted-identity": ('"A" <sip:+48601000112@carrier>',)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("101", ("101", "")),
        ("101@pbx", ("101", "pbx")),
        ("sip:101@pbx:5060;transport=tcp", ("101", "pbx")),
        ('"A, B" <sips:+4860%2A1@pbx>;party=calling', ("+4860*1", "pbx")),
        ("<tel:+48601000111;phone-context=x>", ("+48601000111", "")),
        ("", ("", "")),
    ],
)
def test_address(text: str, found: tuple[str, str]) -> None:
    assert address(text) == found


@pytest.mark.parametrize(
    ("caller", "headers", "number"),
    [
        ("601 000 111", {}, CUSTOMER),
        ("Anonymous", {}, None),
        ("", {}, None),
        ("101@anonymous.invalid", {}, None),
        (CUSTOMER, {"privacy": ("id;critical",)}, None),
        (CUSTOMER, {"privacy": ("none",)}, CUSTOMER),
        ("anonymous", ASSERTED, "+48601000112"),
        (CUSTOMER, {**ASSERTED, "privacy": ("user",)}, None),
        (CUSTOMER, {"remote-party-id": ("<sip:+48601000113@x>",), **ASSERTED}, "+48601000112"),
        (CUSTOMER, {"remote-party-id": ("<sip:+48601000113@x>",)}, "+48601000113"),
    ],
)
def test_caller(caller: str, headers: Mapping[str, Sequence[str]], number: str | None) -> None:
    request = make_request(TRUSTED, caller, SHOP, "trunk-a", headers)
    assert (request.caller.e164, request.anonymous) == (number, number is None)


def test_an_assertion_of_a_peer_that_is_not_trusted_does_not_count() -> None:
    assert make_request(DIRECTORY, CUSTOMER, SHOP, "trunk-a", ASSERTED).caller.e164 == CUSTOMER
    assert make_request(DIRECTORY, "101", "sip:112@pbx", "nobody", {}).dialled.text == "112"
