# `make help` lists the targets. Stages take CONFIG=file.toml OUT=folder ARGS='--set a.b=c -- beam options'.
CONFIG ?= pipelines/configs/demo.toml
PYTHON ?= python3
BIN := .venv/bin
RUN = $(BIN)/python -m pipelines $@ --config $(CONFIG) $(if $(OUT),--out $(OUT)) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help demo curate filter-pairs synth mine-negatives train evaluate ablate export index search serve test check clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

demo: .venv/demo ## install, then curate, synth, mine, train and evaluate on small real data
	@$(RUN)

curate: .venv/demo ## raw corpora -> documents, pairs
	@$(RUN)

filter-pairs: .venv/demo ## pairs -> those that an encoder finds consistent (optional: relevance.enabled)
	@$(RUN)

synth: .venv/demo ## documents -> questions written by an LLM
	@$(RUN)

mine-negatives: .venv/demo ## pairs, questions -> training rows with hard negatives
	@$(RUN)

train: .venv/demo ## training rows -> M3 checkpoint
	@$(RUN)

evaluate: .venv/demo ## checkpoint -> nDCG@10 and Recall@100 per head and hybrid
	@$(RUN)

ablate: .venv/demo ## variants of a config x seeds -> tables of what makes a difference (CONFIG=pipelines/configs/ablate.toml)
	@$(RUN)

export: .venv/demo ## OUT/model -> ONNX or sentence-transformers (TO=onnx; needs threefold[onnx])
	@$(BIN)/python -m pipelines export --to $(or $(TO),onnx) $(or $(OUT),out/demo)/model $(ARGS)

index: .venv/demo ## CORPUS=files and OUT/model -> a search index OUT/index (docs/search.md)
	@$(BIN)/python -m pipelines index --corpus $(CORPUS) --model $(or $(OUT),out/demo)/model \
		--to $(or $(OUT),out/demo)/index $(ARGS)

search: export QUERY := $(QUERY)
search: .venv/demo ## QUERY='...' in OUT/index
	@$(BIN)/python -m pipelines search $(or $(OUT),out/demo)/index "$$QUERY" $(ARGS)

serve: .venv/demo ## a local page and JSON API over OUT/index
	@$(BIN)/python -m pipelines serve $(or $(OUT),out/demo)/index $(ARGS)

test: .venv/dev ## the test suite with coverage (ARGS='-k name' for some)
	@$(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered $(ARGS)

check: .venv/dev ## ruff, mypy --strict, import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

clean: ## remove .venv, OUT and caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	rm -rf $(or $(OUT),out/demo)

# torch first: with the pin, pip takes the one build that is asked for
.venv/base: constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer, not " + sys.version'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@echo 'installing (once, some minutes) ...'
	@touch $@

.venv/demo: .venv/base pyproject.toml
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo]'
	@touch $@

.venv/dev: .venv/demo
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,dev]'
	@touch $@
