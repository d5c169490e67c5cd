"""Says in one sentence where sipacr runs, before anything is imported that exists nowhere else.

It must import on any Python, so: no new syntax, nothing but `sys` and `platform`. scripts/venv runs it as a script with
each interpreter it finds.
"""

import platform
import sys

SUPPORTED = "sipacr runs on Linux x86_64 (glibc) with CPython 3.11 or 3.12, because the PJSIP wheel exists for no other"


def problem():  # type: () -> str | None
    """One sentence that says why sipacr cannot run here, or None if it can."""
    libc = "musl libc" if "musl" in getattr(getattr(sys, "implementation", None), "_multiarch", "") else ""
    bits = "" if sys.maxsize > 2**32 else "32-bit"
    right = (
        sys.platform == "linux"
        and platform.machine() == "x86_64"
        and platform.python_implementation() == "CPython"
        and sys.version_info[:2] in ((3, 11), (3, 12))
        and not libc
        and not bits
    )
    if right:
        return None
    found = [
        platform.system() or sys.platform,
        platform.machine(),
        libc,
        bits,
        platform.python_implementation(),
        platform.python_version(),
    ]
    return "{}; this is {}.".format(SUPPORTED, " ".join(word for word in found if word))


def require():  # type: () -> None
    """End the process with status 2 and one sentence on stderr where sipacr cannot run."""
    sentence = problem()
    if sentence:
        sys.stderr.write(sentence + "\n")
        raise SystemExit(2)


if __name__ == "__main__":
    require()
