"""`python -m sipacr` is `sipacr`."""

from sipacr.platform_check import require

require()  # before the first import that exists nowhere else: one sentence, no traceback

from sipacr.cli import main  # noqa: E402

main(prog_name="sipacr")
