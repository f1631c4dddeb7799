# Each target does its own set-up: a fresh machine needs Python 3.11 or newer and make.
# `make` alone lists the targets.

PYTHON ?= python3
WORKERS ?= 4

# Where bytecode is not kept, each process of the tests compiles every one of them anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
OUT := demo-output
LISTEN ?= 127.0.0.1:8080
IMAGE ?= tidegate
PYTHONS ?= python3.11 python3.12 python3.13
IMAGE_PYTHON := 3.11
# What asks each library for something: whatever reads, fits, stores, draws, serves and parses; all doctests.
COVERING ?= tests/forecaster/adapters tests/forecaster/models tests/forecaster/test_values.py \
  tests/forecaster/test_plots.py tests/forecaster/test_report.py tests/scaler/policy tests/scaler/adapters \
  tests/scaler/gateway tests/distributions/test_wheel.py forecaster scaler
# Where pip's environment says that packages are, for uv, which does not read it.
UV_INDEXES = --index-strategy unsafe-best-match \
  $${PIP_INDEX_URL:+--default-index "$$PIP_INDEX_URL"} \
  $${PIP_EXTRA_INDEX_URL:+--index "$$PIP_EXTRA_INDEX_URL"} \
  $${PIP_FIND_LINKS:+--find-links "$$PIP_FIND_LINKS"}
# Files in the order of tests/file_order.py: what waits for servers leaves cores to what computes.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile \
  --no-loadscope-reorder
# Neither venv nor pip says anything while it unpacks, so what is there is counted beside it. Bytecode
# is compiled when it is first needed, which is less than all of it.
COUNT = while sleep 3 && kill -0 $$$$ 2> /dev/null; do \
  echo "... $$(ls $(VENV)/lib/python3*/site-packages 2> /dev/null | grep -c dist-info) packages in $(VENV)"; \
  done & trap "kill $$!" EXIT
PIP_INSTALL = PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --no-compile --disable-pip-version-check \
  --constraint constraints.txt
INSTALL = @$(COUNT); $(PIP_INSTALL)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test nightly check notebooks bench picture constraints lock image image-service pythons clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1:\2/p' $(MAKEFILE_LIST) | while IFS=: read -r name text; \
	do printf '  %-18s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.installed ## train on generated traffic, replay its last day, then live it on a page (DEMO=once: exit)
	@mkdir -p $(OUT)
	$(BIN)/forecaster generate --items 3 --days 28 --seed 42 --out $(OUT)/history.parquet
	$(BIN)/forecaster train --history $(OUT)/history.parquet --out $(OUT)/models --name demo \
	  --time-budget 60s --seed 0 --promote always
	$(BIN)/forecaster evaluate --models $(OUT)/models --name demo --history $(OUT)/history.parquet \
	  --report $(OUT)/forecast.html --json $(OUT)/forecast.json
	$(BIN)/scaler replay --history $(OUT)/history.parquet --policy examples/demo.yaml \
	  --models $(OUT)/models --model demo --from -1d --rate-limits \
	  --report $(OUT)/replay.html --json $(OUT)/replay.json
	@echo "With plots: $(OUT)/replay.html and $(OUT)/forecast.html; as numbers: the .json beside them."
	$(BIN)/scaler demo --history $(OUT)/history.parquet --policies examples/demo.yaml \
	  --models $(OUT)/models --model demo $(if $(filter once,$(DEMO)),--once,--listen $(LISTEN))

test: $(VENV)/.installed-dev peers ## run the tests, real gateways and a real Prometheus included
	$(PYTEST) -m 'not nightly' --durations 20

nightly: $(VENV)/.installed-dev peers ## run all tests, properties with 5,000 examples, and `make test` on busy cores
	$(PYTEST) --durations 20
	HYPOTHESIS_PROFILE=nightly $(PYTEST) -k properties
	$(BIN)/python -m tests.busy $(MAKE) test

.PHONY: peers
peers: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.peers.install || if [ -n "$${CI+set}" ]; \
	then echo 'CI must test against the real Prometheus, so this is a failure.' >&2; exit 1; \
	else echo 'The tests that need the real Prometheus are skipped, by name.' >&2; fi

check: $(VENV)/.installed-dev ## lint, formatting, types, the layers, spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

notebooks: $(VENV)/.installed-notebooks ## execute the notebooks in place, keeping their pictures
	$(BIN)/python notebooks/render.py

bench: $(VENV)/.installed-bench ## print again the figures of benchmarks/README.md
	$(BIN)/python -m benchmarks

picture: $(VENV)/.installed ## draw README's picture anew, from what `make demo` has left
	$(BIN)/python -m benchmarks.picture

constraints: ## pin anew every dependency, as a fresh environment resolves it
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && set -e; \
	$(PYTHON) -m venv "$$fresh"; \
	"$$fresh/bin/pip" install --quiet torch==2.13.0 --editable '.[bench,client,dev,grpc,notebooks,otel,s3]'; \
	grep '^#' constraints.txt > "$$fresh/pins"; \
	"$$fresh/bin/pip" freeze --all --exclude pip --exclude-editable | sed 's/+.*//' >> "$$fresh/pins"; \
	cp "$$fresh/pins" constraints.txt

# What both locks are compiled by, into $$fresh.
COMPILE = "$$fresh/bin/uv" pip compile --quiet --constraint constraints.txt --generate-hashes \
  --no-annotate --custom-compile-command 'make lock' --python-version $(IMAGE_PYTHON) \
  --python-platform x86_64-manylinux_2_28 --only-binary :all: $(UV_INDEXES)

lock: ## pin with hashes what the images install, by constraints.txt and the indexes of pip's environment
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && set -e; \
	$(PYTHON) -m venv "$$fresh"; \
	"$$fresh/bin/pip" install --quiet --constraint constraints.txt uv; \
	$(COMPILE) pyproject.toml --extra grpc --extra otel --extra s3 --output-file "$$fresh/lock"; \
	$(COMPILE) --group service --output-file "$$fresh/service"; \
	! grep -q '^nvidia-' "$$fresh/lock" || { \
	  echo 'torch would be a CUDA build: set PIP_EXTRA_INDEX_URL to an index of CPU builds.' >&2; exit 1; }; \
	cp "$$fresh/lock" image.lock; cp "$$fresh/service" service.lock

image: base-image.txt ## build the image (IMAGE=NAME:TAG) from image.lock, on the base that base-image.txt names
	docker build --build-arg BASE="$$(cat base-image.txt)" \
	  --build-arg PIP_INDEX_URL --build-arg PIP_EXTRA_INDEX_URL --tag $(IMAGE) .

image-service: base-image.txt ## build the image of `scaler run` alone, without what trains and plots
	docker build --build-arg BASE="$$(cat base-image.txt)" --target service \
	  --build-arg PIP_INDEX_URL --build-arg PIP_EXTRA_INDEX_URL --tag $(IMAGE)-service .

base-image.txt:
	docker pull --quiet python:$(IMAGE_PYTHON)-slim
	docker image inspect --format '{{index .RepoDigests 0}}' python:$(IMAGE_PYTHON)-slim > $@

pythons: ## test with each of PYTHONS and the newest packages (but the pinned torch) that an index has
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && set -e; \
	$(PYTHON) -m venv "$$fresh/uv"; \
	"$$fresh/uv/bin/pip" install --quiet --constraint constraints.txt uv; \
	for python in $(PYTHONS); do \
	  $$python -m venv --clear --without-pip "$$fresh/venv"; \
	  "$$fresh/uv/bin/uv" pip install --quiet --python "$$fresh/venv" $(UV_INDEXES) \
	    "$$(grep '^torch==' constraints.txt)" '.[client,dev,grpc,otel,s3]'; \
	  "$$fresh/venv/bin/python" --version; \
	  OMP_NUM_THREADS=1 "$$fresh/venv/bin/python" -m pytest -q -m 'not nightly' $(COVERING); \
	done

clean: ## remove what the other targets made
	rm -rf $(VENV) $(OUT) .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	rm -rf build tidegate.egg-info client/build client/*.egg-info client/tidegate_client/*/

# A virtual environment whose Python is gone, or that was cut off half way, is made anew.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "tidegate needs Python >= 3.11, and $(PYTHON) is not; name one: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	@echo 'installing tidegate into $(VENV)'
	@$(COUNT); $(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable '.[client,dev,grpc,otel]'
	@touch $@

$(VENV)/.installed-notebooks: $(VENV)/.installed
	$(INSTALL) --editable '.[client,dev,grpc,notebooks,otel]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(INSTALL) --editable '.[bench,client,dev,grpc,otel]'
	@touch $@
