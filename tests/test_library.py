"""The self-check: it passes on the library we declare, and notices a field that is elsewhere."""

import pytest

from sipacr.sip import library as module
from sipacr.sip import udp
from sipacr.sip.library import Library, LibraryFault, Schemes, extension_path, self_check


def test_the_declared_layout_is_the_librarys(library: tuple[Library, Schemes]) -> None:
    loaded, _ = library
    assert loaded.version.startswith("2.15")
    schemes = self_check(loaded)
    assert len({str(schemes.sip), str(schemes.sips), str(schemes.tel), str(schemes.name_addr)}) == 4


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b"rport;", b"rport=1;", "via rport"),
        (b"CSeq: 4711", b"CSeq: 4712", "CSeq number"),
        (b"100rel, timer", b"100rel", "Require count"),
        (b"tag=to-tag", b"tag=to-tug", "To tag"),
    ],
)
def test_a_difference_is_named(
    library: tuple[Library, Schemes], monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes, what: str
) -> None:
    assert old in module.CANNED
    monkeypatch.setattr(module, "CANNED", module.CANNED.replace(old, new))
    with pytest.raises(LibraryFault, match=what):
        self_check(library[0])


def test_the_batch_calls_work_as_declared() -> None:
    udp.self_check()


def test_another_version_is_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Library, "version", "2.16")
    with pytest.raises(LibraryFault, match=r"2\.16; sipacr declares"):
        Library()


def test_a_missing_library_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LibraryFault, match="pip install pjsua2-python"):
        extension_path()
