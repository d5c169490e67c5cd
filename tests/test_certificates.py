"""TLS files: each thing that can be wrong with them is one sentence that names the file."""

import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sipacr.sip.certificates import CertificateFault, server_context, write_self_signed

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = tmp_path / "certs" / "a.crt", tmp_path / "certs" / "a.key"
    write_self_signed(certificate, key, ["localhost", "127.0.0.1"], 10, NOW)
    return certificate, key


def test_a_new_pair_serves_and_its_key_is_private(pair: tuple[Path, Path]) -> None:
    context = server_context(*pair, None, NOW)
    assert context.minimum_version.name == "TLSv1_2"
    assert pair[1].stat().st_mode & 0o777 == 0o600


def test_an_existing_pair_is_not_touched(pair: tuple[Path, Path]) -> None:
    before = pair[1].read_bytes()
    with pytest.raises(FileExistsError):
        write_self_signed(*pair, ["x"], 1, NOW)
    assert pair[1].read_bytes() == before


def test_half_a_pair_is_not_left_behind(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    with pytest.raises(FileExistsError):
        write_self_signed(pair[0], tmp_path / "new.key", ["x"], 1, NOW)
    assert not (tmp_path / "new.key").exists()


@pytest.mark.parametrize(("days", "message"), [(11, "expired on"), (-1, "valid only from")])
def test_time(pair: tuple[Path, Path], days: int, message: str) -> None:
    with pytest.raises(CertificateFault, match=message):
        server_context(*pair, None, NOW + days * DAY)


def test_missing_unreadable_and_wrong_files(pair: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = pair
    other_certificate, other_key = tmp_path / "b.crt", tmp_path / "b.key"
    write_self_signed(other_certificate, other_key, ["b"], 10, NOW)
    garbage = tmp_path / "garbage"
    garbage.write_text("not PEM")
    for files, message in (
        ((tmp_path / "no.crt", key, None), "no.crt: no such file; `sipacr certs`"),
        ((certificate, tmp_path / "no.key", None), "no.key: no such file"),
        ((tmp_path, key, None), "cannot be read: Is a directory"),
        ((garbage, key, None), "garbage: no certificate in PEM form"),
        ((certificate, garbage, None), "garbage: no private key in PEM form"),
        ((certificate, other_key, None), "b.key: this key does not belong to"),
        ((certificate, key, garbage), "garbage: no CA certificates"),
        ((certificate, key, tmp_path / "no.pem"), "no.pem: no such file"),
    ):
        with pytest.raises(CertificateFault, match=message):
            server_context(*files, NOW)


def test_a_key_of_another_kind_belongs_to_another_certificate(pair: tuple[Path, Path]) -> None:
    other = rsa.generate_private_key(65537, 2048)
    pem = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pair[1].write_bytes(pem)
    with pytest.raises(CertificateFault, match="does not belong to"):
        server_context(*pair, None, NOW)


@pytest.mark.parametrize("name", ["", "żółć.pl", "a b", "-x", "x/y"])
def test_what_is_no_name_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="neither a host name"):
        write_self_signed(tmp_path / "c", tmp_path / "k", [name], 1, NOW)
    assert not list(tmp_path.iterdir())


def test_an_encrypted_key_is_named_and_nobody_is_asked_for_a_password(pair: tuple[Path, Path]) -> None:
    private = serialization.load_pem_private_key(pair[1].read_bytes(), None)
    pair[1].write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(CertificateFault, match="is encrypted"):
        server_context(*pair, None, NOW)


def test_with_a_ca_clients_must_show_a_certificate(pair: tuple[Path, Path]) -> None:
    assert server_context(*pair, pair[0], NOW).verify_mode.name == "CERT_REQUIRED"
