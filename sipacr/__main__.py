"""`python -m sipacr` is `sipacr`."""

from sipacr.cli import main

main()
