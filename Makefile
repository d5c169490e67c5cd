# Two commands from a fresh clone: `make run` sees the router answer, `make test` sees the tests pass.
# What is missing on the machine is installed with apt (as root or by sudo), or named with the command that installs it.

.PHONY: run test lint bench bench-relay compiled clean
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

bench: .venv/.tests .venv-compiled/.made
	@command -v sipp >/dev/null || scripts/need sip-tester
	$(BIN)/python benchmarks/redirect.py

bench-relay: .venv/.tests .venv-compiled/.made
	@command -v sipp >/dev/null || scripts/need sip-tester
	$(BIN)/python benchmarks/relay.py

# The same Python with the way of a call compiled by mypyc: for measurements and for production.
compiled: .venv-compiled/.made

clean:
	rm -rf .venv .venv-compiled build

.venv/.router: pyproject.toml scripts/venv sipacr/platform_check.py
	@scripts/venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.tests: .venv/.router
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[test]"
	@touch $@

.venv-compiled/.made: .venv/.router setup.py scripts/compiled $(shell find sipacr -name '*.py')
	@scripts/compiled
	@touch $@
