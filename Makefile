# The commands of this repository. `make run` and `make test` need nothing before them but
# Python >= 3.11; everything else they install into .venv from requirements.lock.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROTOS := $(wildcard proto/raftkv/api/*.proto)
SOURCES := raftkv benchmarks jepsen_like apiserver_shim deploy tests setup.py
ARGS ?=
WORK ?=

.DEFAULT_GOAL := help
.PHONY: help run control-plane test test-long check fast-tests lint fix proto protobuf-fields lock bench bench-growth bench-apiserver dist man native test-native bench-native images docs docs-serve simulate jepsen mutants tools clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

run: $(STAMP) ## start a 3-member cluster on this machine (ARGS="--members 5 --base-port 4000")
	@$(BIN)/raftkv local $(ARGS)

control-plane: $(STAMP) ## store, Kubernetes API, scheduler, controllers, node (ARGS="--nodes 3")
	@$(BIN)/raftkv-control-plane up $(ARGS)

test: $(STAMP) tools lint ## everything CI needs: format, lint, types, layers, all tests
	@$(BIN)/python -m pytest -n 2 --no-loadscope-reorder $(ARGS)

test-long: $(STAMP) tools ## what takes minutes: random seeds, fuzz, load (RAFTKV_LONG_SECONDS=3600 for more)
	@$(BIN)/python -m pytest -m long -s $(ARGS)

check: $(STAMP) lint fast-tests ## the same without the slow and the end-to-end tests: under a minute

fast-tests: $(STAMP)
	@$(BIN)/python -m pytest -m "not e2e and not slow and not long" $(ARGS)

lint: $(STAMP)
	@$(BIN)/ruff format --check --quiet $(SOURCES) || \
	  { echo "ruff format: run 'make fix'" >&2; exit 1; }
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(STAMP) ## format, and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

proto: $(STAMP) ## generate raftkv/api/*_pb2.py and .pyi from proto/
	@$(BIN)/python -m grpc_tools.protoc -I proto --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	  --python_out=. --mypy_out=quiet:. $(PROTOS)

protobuf-fields: $(STAMP) ## read Kubernetes' message fields from the Go module proxy again
	@$(BIN)/python -m apiserver_shim.schemas.make_protobuf_fields

bench: $(STAMP) tools ## raftkv beside etcd on the same work, 15 minutes (WORK="put get" for a part, ROUNDS=3)
	@$(BIN)/python -m benchmarks $(addprefix --work ,$(WORK)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

bench-growth: $(STAMP) ## stores of more and more keys and members (ARGS="--keys 10k --keys 1M --members 3", then ARGS=--draw)
	@$(BIN)/python -m benchmarks.growth $(ARGS)

bench-apiserver: $(STAMP) ## the Kubernetes API beside the same work straight on the store
	@$(BIN)/python -m benchmarks.apiserver $(ARGS)

dist: $(STAMP) ## dist/: an sdist, a wheel, and raftkv.pyz: one file with all that it needs
	@$(BIN)/python -m deploy.pyz

man: $(STAMP) ## docs/man and docs/limits.md from the code
	@$(BIN)/python -m deploy.manual

# A tree of its own beside the sources: nothing compiled ever lies among them.
native: $(STAMP) ## the hot modules compiled by mypyc: a wheel in dist/, and a tree to try it in build/native
	@rm -rf build dist && mkdir -p dist build
	@RAFTKV_NATIVE=1 $(BIN)/pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .
	@rm -rf build && mkdir -p build/native
	@$(BIN)/python -m zipfile -e dist/raftkv-*.whl build/native
	@cp -r benchmarks tests docs deploy pyproject.toml build/native
	@ln -s $(CURDIR)/.tools build/native/.tools
	@echo "try it:  cd build/native && $(CURDIR)/$(BIN)/python -m raftkv.cli.main local"

test-native: native tools ## the compiled store from outside, and seeds that must take the sources' course
	@cd build/native && $(CURDIR)/$(BIN)/python -m pytest -m "not long" tests/raft tests/wire tests/e2e tests/differential
	@set -e; for seed in $$(seq 1 20); do \
	  sources="$$($(BIN)/python -m jepsen_like replay $$seed | tail -n 1)"; \
	  native="$$(cd build/native && $(CURDIR)/$(BIN)/python -m jepsen_like replay $$seed | tail -n 1)"; \
	  echo "seed $$seed: $$native"; \
	  [ "$$sources" = "$$native" ] || { echo "the sources: $$sources" >&2; exit 1; }; done

bench-native: native tools ## `make bench` for the compiled modules (WORK="put get")
	@cd build/native && $(CURDIR)/$(BIN)/python -m benchmarks $(addprefix --work ,$(or $(WORK),put get txn)) \
	  $(if $(ROUNDS),--rounds $(ROUNDS)) --data-dir $(CURDIR)/data $(ARGS)

docs: $(STAMP) ## the documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build $(ARGS)

docs-serve: $(STAMP) ## the same on http://127.0.0.1:8000, made anew when a page changes
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve $(ARGS)

simulate: $(STAMP) ## 2,000 seeds of simulated clusters on all cores (SEEDS=50000 FIRST=100000)
	@$(BIN)/python -m jepsen_like simulate --seeds $(or $(SEEDS),2000) --first $(or $(FIRST),0) $(ARGS)

jepsen: $(STAMP) tools ## real members, real faults: every workload for a minute (TIME=600, NEMESIS=kill)
	@set -e; for workload in $(or $(WORKLOAD),mix watch kubernetes register append set txn lease lock); do \
	  $(BIN)/python -m jepsen_like run --workload $$workload --nemesis $(or $(NEMESIS),all) \
	    --time $(or $(TIME),60) $(ARGS); done

mutants: $(STAMP) tools ## plant every known bug and see which checker notices (MUTANTS="13 no-file-sync")
	@$(BIN)/python -m jepsen_like.mutants $(MUTANTS) $(ARGS)

images: $(STAMP) tools ## crash images of real files by the thousand (IMAGES=200000 for more)
	@$(BIN)/python -m jepsen_like.images --images $(or $(IMAGES),20000) $(ARGS)

lock: $(STAMP) ## pin the newest versions that pyproject.toml allows
	@$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --extra dev --extra otel \
	  --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header \
	  pyproject.toml -o requirements.lock

tools:
	@.ci/tools
	@.ci/clients

# Rebuilt only when the lock or the packaging changes.
$(STAMP): requirements.lock pyproject.toml .ci/venv
	@.ci/venv $(VENV)
	@touch $@

clean: ## remove the virtual environment, caches and local data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .tools build dist data
