# Two commands from a fresh clone: `make run` sees the router answer, `make test` sees the tests pass.
# What is missing on the machine is installed with apt (as root or by sudo), or named with the command that installs it.

.PHONY: run test lint bench clean
BIN := .venv/bin

run: .venv/.router
	@$(BIN)/sipacr run --example

test: .venv/.tests
	@command -v sipp >/dev/null || scripts/need sip-tester || echo "Without SIPp (sip-tester) its tests are skipped." >&2
	$(BIN)/python -m pytest

lint: .venv/.tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/.tests
	@command -v sipp >/dev/null || scripts/need sip-tester
	$(BIN)/python benchmarks/redirect.py

clean:
	rm -rf .venv

.venv/.router: pyproject.toml scripts/venv sipacr/platform_check.py
	@scripts/venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.tests: .venv/.router
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[test]"
	@touch $@
