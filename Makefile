# `make run` starts an embedded server; `make test` checks everything.
.PHONY: audit run test check docs bench crash fuzz oracle soak sim clean help set-up test-parts
SHELL := /bin/bash
STAMP := .venv/.set-up

help:
	@echo "make run    set up and start an embedded server on loopback, state in ./var"
	@echo "make test   set up and run linters, types, unit and end-to-end tests"
	@echo "make check  linters and types only"
	@echo "make docs   build docs/_build/html; a warning is an error"
	@echo "make bench  measure beside Postfix (ARGS: see bench/README.rst)"
	@echo "make crash  kill the server 200 times under load; make fuzz, make soak: hostile input, ten minutes of load"
	@echo "make oracle 5,000 signed messages, ours held against dkimpy's in both directions; 5,000 domains, against pyspf"
	@echo "make audit  packages: pinned, looked at lately, and without a known weakness as far as pip-audit can tell"
	@echo "make clean  remove .venv and what tests left; ./var stays"

$(STAMP): setup.cfg constraints.txt tools/set-up.sh
	@tools/set-up.sh

set-up: $(STAMP)

# An empty mta.toml here is an embedded server too, and keeps away from this machine's own.
run: $(STAMP)
	@[ -e mta.toml ] || [ ! -e /etc/mta/mta.toml ] || touch mta.toml
	@exec .venv/bin/twistd --nodaemon --pidfile= mta

test-parts: $(STAMP)
	@tools/set-up.sh parts
	@tools/set-up.sh bounces
	@tools/set-up.sh spf
	@tools/set-up.sh clients

# Set-up counts as a test that fails: whoever reads the closing line always finds one.
test:
	@$(MAKE) --no-print-directory test-parts || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }
	@.venv/bin/python tools/run_tests.py

check: $(STAMP)
	@.venv/bin/python tools/run_tests.py --check

TRIAL := .venv/bin/python -m twisted.trial --temp-directory=_trial_temp

bench: test-parts
	@.venv/bin/python -m bench.run $(ARGS)

docs: $(STAMP)
	@tools/set-up.sh docs
	@.venv/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

crash: test-parts
	@MTA_CRASHES=$${MTA_CRASHES:-200} $(TRIAL) tests.e2e.test_crash tests.mailbox.test_killed

fuzz: test-parts
	@MTA_FUZZ=$${MTA_FUZZ:-20000} $(TRIAL) tests.e2e.test_hostile tests.dkim.test_fuzz tests.fuzz.test_milter tests.template.test_fuzz tests.sequence.test_fuzz
	@tools/set-up.sh fuzz
	@.venv/bin/python -m tests.fuzz.run --seconds $${MTA_FUZZ_SECONDS:-600}

oracle: $(STAMP)
	@MTA_ORACLE=$${MTA_ORACLE:-5000} $(TRIAL) tests.dkim.test_oracle tests.dkim.test_arc \
		tests.judge.spf.test_oracle

audit: $(STAMP)
	@tools/set-up.sh audit
	@.venv/bin/python tools/audit.py

soak: test-parts
	@MTA_SOAK=$${MTA_SOAK:-600} MTA_STRESS=$${MTA_SOAK:-600} $(TRIAL) tests.e2e.test_soak tests.e2e.test_imap_stress

sim: test-parts
	@MTA_SIM=$${MTA_SIM:-1000000} $(TRIAL) tests.sim.test_sites
	@MTA_SEQUENCE_CONTACTS=$${MTA_SEQUENCE_CONTACTS:-100000} MTA_SEQUENCE_KILLS=$${MTA_SEQUENCE_KILLS:-60} $(TRIAL) tests.sim.test_sequences

clean:
	rm -rf .venv docs/_build _trial_* .mypy_cache .ruff_cache _fuzz *.egg-info
