"""sipacr.platform_check: one sentence where sipacr cannot run, silence where it can."""

import ast
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sipacr import platform_check

ROOT = Path(__file__).parents[1]


@pytest.fixture
def supported(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine that suits, whatever runs the tests."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "maxsize", 2**63 - 1)
    monkeypatch.setattr(sys, "version_info", (3, 11, 2, "final", 0))
    monkeypatch.setattr(sys, "implementation", SimpleNamespace(_multiarch="x86_64-linux-gnu"))
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "python_implementation", lambda: "CPython")
    monkeypatch.setattr(platform, "python_version", lambda: "3.11.2")
    return monkeypatch


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 11, 9), (3, 12, 3)])
def test_what_suits_is_silent(supported: pytest.MonkeyPatch, version: tuple[int, ...]) -> None:
    supported.setattr(sys, "version_info", (*version, "final", 0))
    assert platform_check.problem() is None
    platform_check.require()


@pytest.mark.parametrize(
    ("where", "name", "value", "said"),
    [
        (sys, "version_info", (3, 10, 12, "final", 0), "3.11 or 3.12"),
        (sys, "version_info", (3, 13, 0, "final", 0), "3.11 or 3.12"),
        (sys, "platform", "darwin", "Linux"),
        (sys, "maxsize", 2**31 - 1, "32-bit"),
        (sys, "implementation", SimpleNamespace(_multiarch="x86_64-linux-musl"), "musl"),
        (platform, "machine", lambda: "aarch64", "aarch64"),
        (platform, "python_implementation", lambda: "PyPy", "PyPy"),
    ],
)
def test_what_does_not_is_told_in_one_sentence(
    supported: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    where: object,
    name: str,
    value: object,
    said: str,
) -> None:
    supported.setattr(where, name, value)
    with pytest.raises(SystemExit) as end:
        platform_check.require()
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert error.endswith(".\n")


def test_it_imports_on_old_pythons() -> None:
    """A traceback on an old Python is what it exists to avoid: old syntax, and no import that is not everywhere."""
    source = (ROOT / "sipacr/platform_check.py").read_text()
    tree = ast.parse(source, feature_version=(3, 7))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"sys", "platform"}
    assert not any(isinstance(node, ast.ImportFrom | ast.JoinedStr | ast.NamedExpr) for node in ast.walk(tree))


def test_the_program_asks_before_it_imports_anything_else() -> None:
    tree = ast.parse((ROOT / "sipacr/__main__.py").read_text())
    first, second = [node for node in tree.body if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call)][
        :2
    ]
    assert ast.unparse(first) == "from sipacr.platform_check import require"
    assert ast.unparse(second) == "require()"
