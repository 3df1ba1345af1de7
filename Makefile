# Everything runs in .venv. It is made when it is missing; requirements are installed again when their list has changed.
# Other Python: make PYTHON=python3.12 install. docs/install.md says the same without make.
PYTHON ?= python3
FOUND := $(shell command -v $(PYTHON))
BIN := .venv/bin
INSTALLED := .venv/.installed
TEST_INSTALLED := .venv/.installed-test
PIP := $(BIN)/python -m pip install --disable-pip-version-check
TOO_OLD := import sys; v = sys.version_info; v >= (3, 11) or sys.exit("make: PYTHON=$(PYTHON) ($(FOUND)) is Python %d.%d; \
    3.11 or newer is needed. Name one: make PYTHON=python3.11 install" % tuple(v[:2]))
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test test-all coverage reliability check bench bench-check thousand controls preset explain doctor install clean help

repro: $(INSTALLED)  ## run the whole pipeline and say where the results are (also: make, without a target)
	dvc repro report
	mea summary

test: $(TEST_INSTALLED)  ## the tests, in about 10 minutes on 2 cores
	python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: $(TEST_INSTALLED)  ## the tests, the slow ones too
	python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

coverage: $(TEST_INSTALLED)  ## the tests, and which lines and branches of mea/ and stages/ they run, subprocesses included
	coverage erase
	coverage run -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"
	coverage combine -q
	coverage report --skip-covered --sort=cover

reliability: $(TEST_INSTALLED)  ## what is tried to break it, and what came of it: docs/reliability.md
	python -m benchmarks.reliability

check: $(TEST_INSTALLED)  ## style, types, tests
	ruff check
	ruff format --check
	mypy mea stages benchmarks
	python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

bench: $(INSTALLED)  ## how fast, against the predecessor, side by side: half an hour, 10 GB of temporary files
	python -m benchmarks.bench

bench-check: $(INSTALLED)  ## the same, and fail where a ratio is less than half of the one in benchmarks/results.json
	python -m benchmarks.bench --check

thousand: $(INSTALLED)  ## 1,000 recordings through every stage: seconds and memory by their number
	python -m benchmarks.thousand

controls: $(INSTALLED)  ## does it find what is there, and nothing where there is nothing; SEEDS=20
	python -m benchmarks.controls $(if $(SEEDS),--seeds $(SEEDS)) $(foreach set,$(SET),--set "$(set)")

preset: $(INSTALLED)  ## NAME=predecessor_base, predecessor_second, null_base, null_second or charlesworth2015 (SOURCE=folder)
	mea preset $(NAME) $${SOURCE:+--source "$$SOURCE"} $(foreach set,$(SET),--set "$(set)")

explain: $(INSTALLED)  ## what decides a class: RECORDING=name of one in data/array, or SOURCE=folder of new ones
	mea explain $${RECORDING:+"$$RECORDING"} $${SOURCE:+--source "$$SOURCE"}

# Make splits no value at blanks that belong to a name: FILES is one path if there is such a file, else several.
doctor: $(INSTALLED)  ## look at recordings before anything is run: FILES="data/raw more.zip"; PROPOSE=recordings.csv
	@if [ -e "$$FILES" ]; then set -- "$$FILES"; else set -- $$FILES; fi; \
	mea doctor "$$@" $${PROPOSE:+--propose "$$PROPOSE"} $${JSON:+--json "$$JSON"}

install: $(INSTALLED)  ## make .venv and install what running needs; PYTHON=python3.12 to choose one

clean:  ## remove the caches of tools, half-written files, plots of the doctor and of explain; no data, results or .venv
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis .benchmarks dvc_plots plots/doctor plots/explain
	find . \( -path ./.git -o -path ./.dvc -o -path ./.venv -o -path ./data/raw \) -prune \
	    -o \( -name __pycache__ -o -name '.*.partial' \) -prune -print -exec rm -rf {} +

help:  ## this list
	@awk -F ':.*## *' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

$(INSTALLED): requirements.txt pyproject.toml
	@test -n "$(FOUND)" || { echo "make: PYTHON=$(PYTHON): no such command. Name Python 3.11 or newer: make PYTHON=python3.11 install" >&2; exit 1; }
	@"$(FOUND)" -c '$(TOO_OLD)'
	[ -e $@ ] && [ "$$("$(FOUND)" -V)" = "$$($(BIN)/python -V 2>&1)" ] || "$(FOUND)" -m venv --clear .venv
	$(PIP) -r requirements.txt
	$(PIP) --no-deps --editable .
	$(BIN)/mea plots-page
	touch $(INSTALLED)

$(TEST_INSTALLED): requirements-test.txt $(INSTALLED)
	$(PIP) -r requirements-test.txt
	touch $(TEST_INSTALLED)
