"""The top Via: branch and sent-by, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.network import CALLER, request
from sipacr.calls.via import branch_and_sent_by, server_key

B = "z9hG4bK1"


@pytest.mark.parametrize(
    ("via", "branch", "sent_by"),
    [
        (f"SIP/2.0/UDP 192.0.2.1:5060;branch={B}", B, "192.0.2.1:5060"),
        (f"SIP/2.0/UDP 192.0.2.1:5060;branch={B};rport", B, "192.0.2.1:5060"),
        (f"SIP/2.0/TLS PBX.Example;rport=1;branch={B};received=1.2.3.4", B, "pbx.example"),
        (f"SIP/2.0/UDP [2001:DB8::1]:5060;branch={B}", B, "[2001:db8::1]:5060"),
        (f"SIP/2.0/UDP PBX : 5060;branch={B}", B, "pbx:5060"),
        (f"SIP/2.0/UDP\tPBX :5060;branch={B}", B, "pbx:5060"),
        (f"SIP/2.0/UDP\tPBX:5060;branch={B}", B, "pbx:5060"),
        (f"SIP/2.0/UDP\tPBX:5060; branch={B}", B, "pbx:5060"),
        (f"SIP / 2.0\t/  UDP   PBX:5060 ; ttl=1;Branch = {B} ; x", B, "pbx:5060"),
        (f"SIP/2.0/UDP pbx;branch={B}\t;x", B, "pbx"),
        (f"SIP/2.0/UDP pbx;BRANCH={B}", B, "pbx"),
        (f"SIP/2.0/UDP pbx;branch={B} (comment)", f"{B} (comment)", "pbx"),
        (f'SIP/2.0/UDP pbx;x=";branch=no";branch={B}', B, "pbx"),
        (f'SIP/2.0/UDP pbx;x="a\\";branch=no,";branch={B}', B, "pbx"),
        (f"SIP/2.0/UDP pbx;branch={B},SIP/2.0/UDP p;branch=2", B, "pbx"),
        (f"SIP/2.0/UDP pbx,SIP/2.0/UDP p;branch={B}", "", "pbx"),
        (f",SIP/2.0/UDP pbx;branch={B}", B, "pbx"),
        ("SIP/2.0/UDP pbx", "", "pbx"),
        ("SIP/2.0/UDP pbx;branch", "", "pbx"),
        ("SIP/2.0/UDP pbx;branch=", "", "pbx"),
        ("SIP/2.0/UDP pbx;branch=;x", "", "pbx"),
        (f"SIP/2.0/UDP;branch={B}", B, ""),
        (f"{B};branch={B} x", f"{B} x", ""),
        ("", "", ""),
        (",", "", ""),
        (";", "", ""),
    ],
)
def test_branch_and_sent_by(via: str, branch: str, sent_by: str) -> None:
    assert branch_and_sent_by(via) == (branch, sent_by)


@given(
    st.lists(st.sampled_from(["SIP/2.0/UDP ", "h:1", ";branch=b", ";", ",", '"', "\\", " ", "\t", "=", "/", "é"])).map(
        "".join
    )
)
def test_nothing_raises(via: str) -> None:
    branch_and_sent_by(via)


def test_without_a_cookie_the_whole_via_call_id_from_tag_and_number_count() -> None:
    key = server_key(request(branch="1", cseq=3), CALLER, "INVITE")
    assert key == ("call@a", "a", "3", "SIP/2.0/UDP 198.51.100.1:5060;branch=1;rport", "INVITE", "198.51.100.1")
    message = request(branch="1")
    message.headers = message.headers[:1]
    assert server_key(message, CALLER, "INVITE")[:3] == ("", "", "0")
