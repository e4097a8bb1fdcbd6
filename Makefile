# `make demo`, `make test` and the others set up what they need by themselves; see scripts/setup.sh.
PY := .venv/bin/python

.PHONY: demo test check docs bench soak fuzz clients lab clean setup

demo:
	@scripts/setup.sh python
	.venv/bin/causeway demo

test: setup
	$(PY) -m pytest

check:
	@scripts/setup.sh python
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) scripts/check_sizes.py

# The tables of the documents anew, from the models and the catalogue that they describe.
docs:
	@scripts/setup.sh python
	$(PY) -m scripts.write_metrics
	$(PY) -m scripts.write_reference

# docs/clients.md anew, by what the clients see.
clients: setup
	CAUSEWAY_WRITE_CLIENTS=1 $(PY) -m pytest tests/real/clients

# The full counts of seeds and runs; hours, not minutes.
soak: setup
	$(PY) -m pytest -m soak --timeout 7200

# Each parser fuzzed for ten minutes, guided by coverage; ONLY=yaml fuzzes one, SECONDS=60 for less long.
fuzz:
	@scripts/setup.sh python
	@for target in $(or $(ONLY),request answer chunk range xml yaml); do \
	    $(PY) -m tests.fuzz $$target $(or $(SECONDS),600) || exit 1; done

# Three regions in network namespaces, to break by hand, until Ctrl-C; needs root.
lab:
	@scripts/setup.sh python
	@scripts/setup.sh real
	@$(PY) -m tests.real.lab.byhand

# Side by side with nginx, varnish and the origin; writes build/bench.json. ONLY='hit_*' runs a part.
bench: setup
	@scripts/setup.sh bench
	$(PY) -m tests.bench $(ONLY)

# What `make test` needs beyond Python; a tool that cannot be had is named, and its tests are skipped by name.
setup:
	@scripts/setup.sh python
	@scripts/setup.sh real
	@scripts/setup.sh clients

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .hypothesis .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
