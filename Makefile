# `make run` starts an embedded server; `make test` checks everything.
.PHONY: run test check docs bench clean help set-up test-parts
SHELL := /bin/bash
STAMP := .venv/.set-up

help:
	@echo "make run    set up and start an embedded server on loopback, state in ./var"
	@echo "make test   set up and run linters, types, unit and end-to-end tests"
	@echo "make check  linters and types only"
	@echo "make clean  remove .venv and what tests left; ./var stays"

$(STAMP): setup.cfg constraints.txt tools/set-up.sh
	@tools/set-up.sh

set-up: $(STAMP)

run: $(STAMP)
	@exec .venv/bin/twistd --nodaemon --pidfile= mta

test-parts: $(STAMP)
	@tools/set-up.sh parts

test: test-parts
	@.venv/bin/python tools/run_tests.py

check: $(STAMP)
	@.venv/bin/python tools/run_tests.py --check

clean:
	rm -rf .venv _trial_temp* .mypy_cache .ruff_cache *.egg-info
