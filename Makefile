.DEFAULT_GOAL := help
.PHONY: help setup demo test experiments defences kills gaps fuzz bench check lock clean

BIN := .venv/bin

help: ## this list
	@echo "cryptolake: every trade kept, every figure provable."
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18
	@echo
	@echo "Once set up, .venv/bin/cryptolake --help lists the commands."

setup: ## bring Java, the Python packages and the jars to where everything runs
	@sh scripts/setup.sh run

demo: setup ## set up and run the main job on a simulated market; Ctrl-C ends it
	@$(BIN)/cryptolake demo

test: ## set up and run the tests
	@sh scripts/setup.sh dev
	$(BIN)/python -m pytest

EXPERIMENTS ?= all

experiments: ## the whole matrix of docs/reliability.md and its report (40 minutes); EXPERIMENTS="1 17" does some anew
	@sh scripts/setup.sh dev
	CRYPTOLAKE_EXPERIMENTS="$(EXPERIMENTS)" $(BIN)/python -m pytest -n 0 -s --session-timeout=4500

WORDS ?=

defences: ## take out each defence of an experiment in a copy, and see the experiment fail (half an hour; WORDS="spool gaps" for some)
	@sh scripts/setup.sh dev
	PYTHONPATH=tests $(BIN)/python -m defences $(WORDS)

kills: ## kill -9 of every process, three times each and between every two writes (25 minutes)
	@sh scripts/setup.sh dev
	CRYPTOLAKE_TEST_KILLS=all $(BIN)/python -m pytest -n 0 -s tests/cryptolake/test_killed.py

gaps: ## ten minutes of cut connections at 1,000 trades/s: every gap must end closed (a quarter of an hour)
	@sh scripts/setup.sh dev
	CRYPTOLAKE_TEST_GAPS=all $(BIN)/python -m pytest -n 0 -s tests/cryptolake/test_gaps_closed.py

FUZZ_S ?= 60
SOURCES = $(notdir $(patsubst %/good.yml,%,$(wildcard tests/corpus/*/good.yml)))

fuzz: ## hunt for inputs that a parser mistreats, FUZZ_S=60 seconds a parser (SOURCES="binance coincap" for some)
	@sh scripts/setup.sh dev
	@$(BIN)/uv pip install --quiet --python=$(BIN)/python --no-deps --require-hashes -r requirements/fuzz.lock
	@for source in $(SOURCES); do echo "fuzzing $$source"; \
	PYTHONPATH=tests $(BIN)/python -m fuzz $$source -max_total_time=$(FUZZ_S) -verbosity=0 -print_final_stats=1 || exit 1; done

bench: ## measure speed, latency, recovery and growth beside a peer (half an hour; BENCH=all for more, PART=growth for less)
	@sh scripts/setup.sh dev
	@$(BIN)/uv pip install --quiet --python=$(BIN)/python --no-deps --require-hashes -r requirements/bench.lock
	$(BIN)/python -m benchmarks $(PART)

check: ## set up and check style, types and the direction of imports
	@sh scripts/setup.sh dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

lock: ## write the locks in requirements/ anew, with the newest versions allowed
	@sh scripts/setup.sh dev
	$(BIN)/python -m scripts.lock

clean: ## remove what setup, tests and checks have made (the lake in .cryptolake stays)
	rm -rf .venv .jars .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
