# Everything runs in .venv, which is made when it is missing or requirements.txt has changed.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: install repro test test-all check bench bench-check thousand controls preset explain doctor

repro: $(INSTALLED)  ## run the whole pipeline and say where the results are
	dvc repro
	python -m mea.report.headline metrics/evaluate.json metrics/classify.csv report/index.html plots models/classifier

test: $(INSTALLED)  ## the tests, in under 10 minutes on 2 cores
	python -m pytest -q -n 2 --dist loadfile -m "not slow"

test-all: $(INSTALLED)  ## the tests, the slow ones too
	python -m pytest -q -n 2 --dist loadfile

check: $(INSTALLED)  ## style, types, tests
	ruff check
	ruff format --check
	mypy mea stages benchmarks
	python -m pytest -q -n 2 --dist loadfile -m "not slow"

bench: $(INSTALLED)  ## how fast, against the predecessor, side by side: half an hour, 10 GB of temporary files
	python -m benchmarks.bench

bench-check: $(INSTALLED)  ## the same, and fail where a ratio is less than half of the one in benchmarks/results.json
	python -m benchmarks.bench --check

thousand: $(INSTALLED)  ## 1,000 recordings through every stage: seconds and memory by their number
	python -m benchmarks.thousand

controls: $(INSTALLED)  ## does it find what is there, and nothing where there is nothing; SEEDS=20
	python -m benchmarks.controls $(if $(SEEDS),--seeds $(SEEDS)) $(foreach set,$(SET),--set "$(set)")

preset: $(INSTALLED)  ## NAME=predecessor_base, predecessor_second, null_base, null_second or charlesworth2015 (SOURCE=folder)
	python -m mea.versions.presets $(NAME) $(if $(SOURCE),--source "$(SOURCE)") $(foreach set,$(SET),--set "$(set)")

explain: $(INSTALLED)  ## what spoke for a class: RECORDING="name ..." of data/array, or SOURCE=folder of new ones
	python -m mea.classification.explain $(RECORDING) $(if $(SOURCE),--source "$(SOURCE)") \
	    --model models/classifier --array data/array --split data/split --out plots/explain

doctor: $(INSTALLED)  ## look at recordings before anything is run: FILES="data/raw more.zip"; PROPOSE=recordings.csv
	python -m mea.doctor $(FILES) $(if $(PROPOSE),--propose "$(PROPOSE)") $(if $(JSON),--json "$(JSON)")

install: $(INSTALLED)

$(INSTALLED): requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m mea.versions.plots_page
	touch $(INSTALLED)
