"""TLS files: a server context from them, or one sentence that says what is wrong with which; and a pair for a trial."""

import datetime
import re
import ssl
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NAME = re.compile(r"[A-Za-z0-9*_]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")


class CertificateFault(Exception):
    """A certificate or key cannot be used; the message names the file and what to do."""


def server_context(certificate: Path, key: Path, clients: Path | None, now: datetime.datetime) -> ssl.SSLContext:
    """A context for TLS 1.2 and 1.3. With `clients`, a certificate signed by one of these CAs is demanded.

    Raises CertificateFault for a file that is missing, unreadable, no PEM, expired, not yet valid, or a key that
    belongs to another certificate.
    """
    leaf = _certificate(certificate)
    if now > leaf.not_valid_after_utc:
        raise CertificateFault(f"{certificate}: expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: renew it")
    if now < leaf.not_valid_before_utc:
        raise CertificateFault(
            f"{certificate}: valid only from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: is the clock right?"
        )
    _readable(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=lambda: _no_password(key))
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
            raise CertificateFault(f"{key}: this key does not belong to {certificate}") from error
        raise CertificateFault(f"{key}: no private key in PEM form ({error.reason or error})") from error
    if clients is not None:
        _readable(clients)
        try:
            context.load_verify_locations(clients)
        except ssl.SSLError as error:
            raise CertificateFault(f"{clients}: no CA certificates in PEM form ({error.reason or error})") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(certificate: Path | None, key: Path | None, ca: Path | None) -> ssl.SSLContext:
    """A context for connections that we open: TLS 1.2 and 1.3, the far end's certificate signed by `ca` or by somebody
    whom this machine trusts, ours shown to whoever asks. Whose it is must be asked with `is_of`.

    Raises CertificateFault.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False  # `ssl` knows neither SIP URIs nor that a SIP server has no wildcards
    if ca is None:
        context.load_default_certs()
    else:
        _readable(ca)
        try:
            context.load_verify_locations(ca)
        except ssl.SSLError as error:
            raise CertificateFault(f"{ca}: no CA certificates in PEM form ({error.reason or error})") from error
    if certificate is not None and key is not None:
        try:
            context.load_cert_chain(certificate, key, password=lambda: _no_password(key))
        except (OSError, ssl.SSLError) as error:
            raise CertificateFault(f"{certificate}: cannot be used as a client's certificate: {error}") from error
    return context


def is_of(certificate: Mapping[str, Any], name: str, address: str) -> bool:
    """Whether a certificate, as `ssl` reads it, is of the SIP domain `name`, or of `address` where there is no name.

    RFC 5922 7: URIs of the scheme sip count before DNS names, no wildcards, the common name only where nothing else is.
    """
    alternatives: Sequence[tuple[str, str]] = certificate.get("subjectAltName", ())
    if not name:
        return any(kind == "IP Address" and _same_address(value, address) for kind, value in alternatives)
    wanted = name.lower().rstrip(".")
    uris = [value.lower() for kind, value in alternatives if kind == "URI"]
    identities = [uri.removeprefix("sip:") for uri in uris if uri.startswith("sip:") and "@" not in uri]
    identities = identities or [value.lower() for kind, value in alternatives if kind == "DNS"]
    if not alternatives:
        parts = [part for relative in certificate.get("subject", ()) for part in relative]
        identities = [value.lower() for kind, value in parts if kind == "commonName"]
    return wanted in identities


def _same_address(one: str, other: str) -> bool:
    try:
        return ip_address(one.strip()) == ip_address(other)
    except ValueError:
        return False


def _no_password(key: Path) -> str:
    raise CertificateFault(f"{key}: the key is encrypted; a router that starts by itself needs one without a password")


def _readable(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CertificateFault(f"{path}: no such file; `sipacr certs` makes a pair for a trial") from error
    except OSError as error:
        raise CertificateFault(f"{path}: cannot be read: {error.strerror}") from error


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(_readable(path))[0]
    except ValueError as error:
        raise CertificateFault(f"{path}: no certificate in PEM form") from error


def write_self_signed(certificate: Path, key: Path, names: list[str], days: int, now: datetime.datetime) -> None:
    """Make a self-signed pair for `names` (host names, addresses). An existing file is not touched.

    Raises OSError, and ValueError for what is neither a host name in ASCII nor an address.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is neither a host name (ASCII; xn--... for others) nor an address")
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _create(key, pem, 0o600)
    try:
        _create(certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)
    except OSError:
        key.unlink()  # half a pair would only puzzle
        raise


def _create(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode, exist_ok=False)
    path.write_bytes(data)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
