# Everything on a fresh machine: `make demo`, `make test`, `make dev`. Needs Python 3.11 or later with venv.
PYTHON ?= python3

.PHONY: demo test dev clean

demo: .venv/.demo
	.venv/bin/python scripts/demo.py

test: .venv/.test
	PYTHON=.venv/bin/python scripts/check

# To work on veil: the versions of requirements-dev.lock, and the checks before each commit.
dev: .venv/.dev

.venv/.dev: requirements-dev.lock
.venv/.dev: locked = --constraint requirements-dev.lock

# Stamps: the environment is made once for each extra, and again when pyproject.toml changes.
.venv/.%: pyproject.toml
	@echo "Installing veil with its [$*] packages, PyTorch among them, in .venv: some minutes, up to 7 GB of disk"
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet $(locked) --editable ".[$*]"
	touch $@

clean:
	rm -rf .venv demo
