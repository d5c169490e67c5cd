"""Digest authentication: the worked examples of the RFCs, and when another try is worth it."""

import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipacr.calls.digest import Authentication, answer, credentials_of, strongest
from sipacr.calls.message import Headers, Message, parse
from sipacr.routing.directory import Credentials

BOB = Credentials("bob", "zanzibar")
NONCE = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
BILOXI = f'Digest realm="biloxi.com", nonce="{NONCE}", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
# The INVITE of draft-smith-sipping-auth-examples-01 has this body.
SDP = b"".join(
    line + b"\r\n"
    for line in (
        b"v=0", b"o=bob 2890844526 2890844526 IN IP4 media.biloxi.com", b"s=-", b"c=IN IP4 media.biloxi.com", b"t=0 0",
        b"m=audio 49170 RTP/AVP 0", b"a=rtpmap:0 PCMU/8000", b"m=video 51372 RTP/AVP 31", b"a=rtpmap:31 H261/90000",
        b"m=video 53000 RTP/AVP 32", b"a=rtpmap:32 MPV/90000",
    )
)  # fmt: skip


def parts(value: str | None) -> dict[str, str]:
    """The parameters of an answer, quotes kept."""
    assert value is not None
    assert value.startswith("Digest ")
    return dict(part.split("=", 1) for part in re.findall(r'[^\s,]+=(?:"(?:[^"\\]|\\.)*"|[^",\s]+)', value[7:]))


@pytest.mark.parametrize(
    ("challenge", "response"),
    [
        ("", "bf57e4e0d0bffc0fbaedce64d59add5e"),
        (', qop="auth,auth-int"', "89eb0059246c02b2f6ee02c7961d5ea3"),
        (', qop="auth,auth-int", algorithm=MD5', "89eb0059246c02b2f6ee02c7961d5ea3"),
        (', qop="auth,auth-int", algorithm=MD5-sess', "e4e4ea61d186d07a92c9e1f6919902e9"),
        (', qop="auth-int", algorithm=MD5', "bdbeebb2da6adb6bca02599c2239e192"),
        (', qop="auth-int", algorithm=MD5-sess', "91984da2d8663716e91554859c22ca70"),
    ],
)
def test_examples_for_sip(challenge: str, response: str) -> None:
    assert hashlib.md5(SDP).hexdigest() == "c1ed018b8ec4a3b170c0921f5b564e48"
    value = answer([BILOXI + challenge], "INVITE", "sip:bob@biloxi.com", SDP, BOB, "0a4f113b")
    assert parts(value)["response"] == f'"{response}"'


def test_example_of_rfc_2617() -> None:
    challenge = f'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="{NONCE}", opaque="5ccc"'
    user = Credentials("Mufasa", "Circle Of Life")
    found = parts(answer([challenge], "GET", "/dir/index.html", b"", user, "0a4f113b"))
    assert found["response"] == '"6629fae49393a05397450978507c4ef1"'


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    challenge = (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    user = Credentials("Mufasa", "Circle of Life")
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    found = parts(answer([challenge], "GET", "/dir/index.html", b"", user, cnonce))
    assert found["response"] == f'"{response}"'
    assert found["algorithm"] == algorithm


def test_what_stands_in_quotes_and_what_does_not() -> None:
    found = parts(answer([BILOXI + ',qop="auth",algorithm=MD5'], "INVITE", "sip:b@c", b"", BOB, "cn", 0x1F))
    response = found.pop("response")
    assert re.fullmatch('"[0-9a-f]{32}"', response)
    assert found == {
        "username": '"bob"', "realm": '"biloxi.com"', "nonce": f'"{NONCE}"', "uri": '"sip:b@c"', "algorithm": "MD5",
        "qop": "auth", "nc": "0000001f", "cnonce": '"cn"', "opaque": '"5ccc069c403ebaf9f0171e9517f40e41"',
    }  # fmt: skip


def test_without_qop_nothing_of_it_is_said_and_nothing_that_was_not_asked() -> None:
    found = parts(answer(['Digest realm="r", nonce="n"'], "REGISTER", "sip:c", b"", BOB, "cn"))
    assert set(found) == {"username", "realm", "nonce", "uri", "response"}


def test_a_session_algorithm_without_qop_tells_its_cnonce() -> None:
    found = parts(answer(['Digest realm="r", nonce="n", algorithm=MD5-sess'], "REGISTER", "sip:c", b"", BOB, "cn"))
    assert found["cnonce"] == '"cn"'
    assert "nc" not in found


@pytest.mark.parametrize(
    "challenge",
    [
        'digest  REALM = "r" ,nonce=n,algorithm="md5",qop=auth',
        'Digest algorithm=MD5, qop="AUTH", nonce="n" ,  realm="r", domain="sip:a, sip:b", extra="a=b, nonce=x"',
    ],
)
def test_how_servers_write(challenge: str) -> None:
    found = strongest([challenge])
    assert found is not None
    assert (found.realm, found.nonce, found.hashed, found.qop) == ("r", "n", "MD5", "auth")


@pytest.mark.parametrize(
    "challenge",
    [
        'Basic realm="r"',
        'Digest realm="r", nonce="n", algorithm=SHA-512-256',
        'Digest realm="r", nonce="n", qop="auth-conf"',
        'Digest realm="r"',
        'Digest nonce="n"',
        "Digest",
        "",
    ],
)
def test_what_cannot_be_answered(challenge: str) -> None:
    assert answer([challenge], "INVITE", "sip:b", b"", BOB, "cn") is None


@pytest.mark.parametrize(
    ("algorithms", "taken"),
    [
        (["MD5", "SHA-256"], "SHA-256"),
        (["SHA-256-sess", "MD5"], "SHA-256-sess"),
        (["SHA-512-256", "MD5"], "MD5"),
        (["SHA-256", "SHA-256-sess"], "SHA-256"),
    ],
)
def test_the_strongest_that_we_know(algorithms: list[str], taken: str) -> None:
    challenges = [f'Digest realm="r", nonce="n", qop="auth", algorithm={each}' for each in algorithms]
    assert parts(answer(challenges, "INVITE", "sip:b", b"", BOB, "cn"))["algorithm"] == taken


def test_quotes_in_names_are_escaped_and_hashed_as_meant() -> None:
    found = parts(
        answer([r'Digest realm="a \"b\" \\c", nonce="n"'], "INVITE", "sip:b", b"", Credentials('x"y', "p"), "c")
    )
    assert found["realm"] == r'"a \"b\" \\c"'
    assert found["username"] == r'"x\"y"'
    secret = hashlib.md5(rb'x"y:a "b" \c:p').hexdigest()
    expected = hashlib.md5(f"{secret}:n:{hashlib.md5(b'INVITE:sip:b').hexdigest()}".encode()).hexdigest()
    assert found["response"] == f'"{expected}"'


def test_a_password_never_shows() -> None:
    assert "zanzibar" not in repr(BOB)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60))
def test_no_challenge_breaks_anything(text: str) -> None:
    for challenge in (
        text,
        f"Digest {text}",
        f'Digest realm="r", nonce="n", {text}',
        f'Digest realm="{text}", nonce="n"',
    ):
        value = answer([challenge], "INVITE", "sip:b", b"", BOB, "cn")
        assert value is None or ("\n" not in value and value.startswith('Digest username="bob"'))


class Conversation:
    """One trunk, and requests to it."""

    def __init__(self) -> None:
        self.tokens = 0
        self.authentication = Authentication(BOB, self.token)

    def token(self) -> str:
        self.tokens += 1
        return f"t{self.tokens}"

    def request(self, method: str = "INVITE") -> Message:
        return Message(method, "sip:b@c", headers=self.authentication.authorization(method, "sip:b@c", b""))

    def answered(self, request: Message, code: int, *challenges: str, header: str = "WWW-Authenticate") -> bool:
        headers: Headers = [(header, each) for each in challenges]
        return self.authentication.challenged(request, Message(code=code, headers=headers))


def asks(nonce: str, extra: str = "") -> str:
    return f'Digest realm="r", nonce="{nonce}", qop="auth"{extra}'


def bears(request: Message, name: str = "Authorization") -> tuple[str, str] | None:
    value = request.get(name)
    return None if value is None else (parts(value)["nonce"].strip('"'), parts(value)["nc"])


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


def test_first_nothing_then_what_was_asked_for_and_counted(talk: Conversation) -> None:
    first = talk.request()
    assert first.headers == []
    assert talk.answered(first, 401, asks("n1"))
    second = talk.request()
    assert bears(second) == ("n1", "00000001")
    assert not talk.answered(second, 200)
    assert bears(talk.request("BYE")) == ("n1", "00000002")
    assert bears(talk.request("BYE")) == ("n1", "00000003")


def test_the_same_cnonce_for_all_requests_with_a_nonce(talk: Conversation) -> None:
    talk.answered(talk.request(), 401, asks("n1", ", algorithm=MD5-sess"))
    cnonces = {parts(talk.request().get("Authorization"))["cnonce"] for _ in range(3)}
    assert cnonces == {'"t1"'}
    talk.answered(talk.request(), 200)
    talk.answered(talk.request(), 401, asks("n2"))
    assert parts(talk.request().get("Authorization"))["cnonce"] == '"t2"'


def test_a_proxy_and_the_server_behind_it(talk: Conversation) -> None:
    assert talk.answered(talk.request(), 407, asks("p1"), header="Proxy-Authenticate")
    second = talk.request()
    assert bears(second, "Proxy-Authorization") == ("p1", "00000001")
    assert talk.answered(second, 401, asks("n1"))
    third = talk.request()
    assert bears(third, "Proxy-Authorization") == ("p1", "00000002")
    assert bears(third) == ("n1", "00000001")
    assert credentials_of(third) == third.headers
    assert not talk.answered(third, 200)


@pytest.mark.parametrize("nonce", ["n1", "n2"])
def test_wrong_credentials_are_told_once(talk: Conversation, nonce: str) -> None:
    talk.answered(talk.request(), 401, asks("n1"))
    assert not talk.answered(talk.request(), 401, asks(nonce))
    assert talk.request().headers == []


def test_a_stale_nonce_has_one_more_try(talk: Conversation) -> None:
    talk.answered(talk.request(), 401, asks("n1"))
    assert talk.answered(talk.request(), 401, asks("n2", ", stale=TRUE"))
    again = talk.request()
    assert bears(again) == ("n2", "00000001")
    assert not talk.answered(again, 401, asks("n3", ", stale=true"))


def test_a_nonce_that_was_good_may_grow_old_in_silence(talk: Conversation) -> None:
    talk.answered(talk.request(), 401, asks("n1"))
    talk.answered(talk.request(), 200)
    assert talk.answered(talk.request(), 401, asks("n2"))
    assert not talk.answered(talk.request(), 401, asks("n3"))


@pytest.mark.parametrize(("code", "proved"), [(200, True), (486, True), (403, False)])
def test_what_proves_a_nonce_that_is_not_counted(talk: Conversation, code: int, proved: bool) -> None:
    """Without qop only the answers tell; a 403 may be an objection to the credentials."""
    talk.answered(talk.request(), 401, 'Digest realm="r", nonce="n1"')
    assert not talk.answered(talk.request(), code)
    assert talk.answered(talk.request(), 401, 'Digest realm="r", nonce="n2"') is proved


def test_two_calls_that_are_challenged_at_once(talk: Conversation) -> None:
    first, second = talk.request(), talk.request()
    assert talk.answered(first, 401, asks("n1"))
    first_again = talk.request()
    assert talk.answered(second, 401, asks("n2"))
    second_again = talk.request()
    assert (bears(first_again), bears(second_again)) == (("n1", "00000001"), ("n2", "00000001"))
    assert not talk.answered(first_again, 200)
    assert not talk.answered(second_again, 200)


def test_a_second_call_with_the_nonce_that_became_stale(talk: Conversation) -> None:
    talk.answered(talk.request(), 401, asks("n1"))
    talk.answered(talk.request(), 200)
    first, second = talk.request(), talk.request()
    assert talk.answered(first, 401, asks("n2", ", stale=true"))
    assert talk.answered(second, 401, asks("n2", ", stale=true"))
    assert [bears(talk.request()), bears(talk.request())] == [("n2", "00000001"), ("n2", "00000002")]


def test_a_challenge_that_cannot_be_answered(talk: Conversation) -> None:
    assert not talk.answered(talk.request(), 401, 'Basic realm="r"')
    assert not talk.answered(talk.request(), 401)
    assert not talk.answered(talk.request(), 486, asks("n1"))


def test_the_ack_repeats_the_credentials_of_its_invite() -> None:
    invite = parse(
        b"INVITE sip:b SIP/2.0\r\nCSeq: 2 INVITE\r\nAuthorization: Digest a\r\nProxy-Authorization: Digest b\r\n\r\n"
    )
    assert credentials_of(invite) == [("Authorization", "Digest a"), ("Proxy-Authorization", "Digest b")]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=60))
def test_no_request_bears_a_nonce_twice_when_nobody_is_ever_content(turns: list[tuple[int, int, bool]]) -> None:
    """Four requests at once, answered in any order with nonces new and old."""
    talk = Conversation()
    requests = [Message("INVITE", "sip:b", headers=[]) for _ in range(4)]
    borne: list[list[tuple[str, str] | None]] = [[] for _ in range(4)]
    for which, nonce, stale in turns:
        if talk.answered(requests[which], 401, asks(f"n{nonce}", f", stale={stale}".lower())):
            requests[which] = talk.request()
            borne[which].append(bears(requests[which]))
            assert len({each[0] for each in borne[which] if each}) == len(borne[which])
        else:
            requests[which], borne[which] = Message("INVITE", "sip:b", headers=[]), []


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=4, max_size=10), st.booleans())
def test_one_request_is_sent_three_times_at_most(stales: list[bool], used: bool) -> None:
    talk = Conversation()
    if used:
        talk.answered(talk.request(), 401, asks("n"))
        talk.answered(talk.request(), 200)
    tries = 1
    request = talk.request()
    for turn, stale in enumerate(stales):
        if not talk.answered(request, 401, asks(f"n{turn}", f", stale={stale}".lower())):
            break
        tries += 1
        request = talk.request()
    assert tries <= 3


def test_a_nonce_that_grew_old_unpraised(talk: Conversation) -> None:
    """Nobody told of any success: a nonce that was used before may have been good all the same."""
    talk.answered(talk.request(), 401, asks("n0"))
    talk.request()
    for turn in range(1, 6):
        assert talk.answered(talk.request(), 401, asks(f"n{turn}", ", stale=true" if turn % 2 else ""))
        assert bears(talk.request()) == (f"n{turn}", "00000001")


def test_what_is_remembered_is_bounded(talk: Conversation) -> None:
    assert talk.answered(talk.request(), 407, asks("p"), header="Proxy-Authenticate")
    talk.answered(talk.request(), 200)
    assert talk.answered(talk.request(), 401, asks("forgotten"))
    forgotten = talk.request()
    for number in range(3000):
        assert talk.answered(Message("INVITE", "sip:b", headers=[]), 401, asks(f"n{number}"))
    assert len(talk.authentication._known) == 1000
    assert not talk.answered(forgotten, 401, asks("n"))
    assert talk.answered(talk.request(), 407, asks("p2"), header="Proxy-Authenticate")


def test_the_nonce_that_was_just_called_stale_is_not_tried_again(talk: Conversation) -> None:
    talk.answered(talk.request(), 401, asks("n1"))
    assert not talk.answered(talk.request(), 401, asks("n1", ", stale=true"))


def test_two_calls_with_wrong_credentials_do_not_keep_each_other_going(talk: Conversation) -> None:
    requests = [talk.request(), talk.request()]
    tried = 0
    for turn in range(20):
        if talk.answered(requests[turn % 2], 401, asks(f"n{turn}")):
            requests[turn % 2] = talk.request()
            tried += 1
    assert tried == 2
