# Everything on a fresh machine: `make demo` and `make test`. Needs Python 3.11 or later with venv.
PYTHON ?= python3

.PHONY: demo test clean

demo: .venv/.demo
	.venv/bin/python scripts/demo.py

test: .venv/.test
	PYTHON=.venv/bin/python scripts/check

# Stamps: the environment is made once for each extra, and again when pyproject.toml changes.
.venv/.%: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --editable ".[$*]"
	touch $@

clean:
	rm -rf .venv demo
