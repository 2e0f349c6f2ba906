# The two commands of a new clone are `make demo` and `make test`; both set everything up first.
#
#   PYTHON=/path/to/python3.12     another Python
#   TORCH_INDEX=cpu|cu128|pip|URL  where PyTorch comes from (see scripts/setup.sh)
#   CISWEAVE_REAL_DATA=/folder     real data for `make real`, `make test`, `make check-demo`,
#                                  `make check-genome`, `make check-seal` and `make check-xpresso`

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export NUMBA_CACHE_DIR ?= $(CURDIR)/.cache/numba

# The target figures_<room> of every room that draws some.
FIGURES = $(shell sed -n 's/^ *rule \(figures_[a-z]*\):.*/\1/p' rules/*.smk)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo demo-all test real check-demo check-genome check-seal check-xpresso lint generated docs clean

help: ## List what make can do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

setup: ## Set up .venv: Python packages as pinned, BEDOPS where possible
	@scripts/setup.sh

demo: setup ## Run the workflow on the built-in world: results/demo/report.html
	@scripts/demo.sh

demo-all: setup ## Run every room on the built-in world, with all its figures
	@scripts/demo.sh --all-rooms all $(FIGURES)

test: setup ## Run the tests
	@python -m pytest $(PYTEST)

real: setup ## Run the checks on real data (CISWEAVE_REAL_DATA)
	@python scripts/check_real.py

check-demo: setup ## Prove that the installation works; the last line is JSON (results/checks/demo.json)
	@python scripts/check_demo.py

check-genome: setup ## Prove the genome room; the last line is JSON (results/checks/genome.json)
	@python scripts/check_genome.py

check-seal: setup ## Prove the seal room; the last line is JSON (results/checks/seal.json)
	@python scripts/check_seal.py

check-xpresso: setup ## Prove the xpresso room; the last line is JSON (results/checks/xpresso.json)
	@python scripts/check_xpresso.py

lint: setup ## Check style, types, imports, rules and documentation
	@scripts/lint.sh

generated: setup ## Write anew what is made from the code: default configuration, schema, picture of the workflow
	@cisweave config defaults --out config/config.yaml
	@cisweave config schema --out workflow/schemas/config.schema.json
	@python scripts/workflow_figure.py

docs: setup ## Build the documentation: site/index.html
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet && echo "the documentation is site/index.html"

clean: ## Remove results of the built-in world, caches and the built documentation
	rm -rf results/demo results/checks site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
