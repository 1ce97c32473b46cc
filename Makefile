# `make help` lists the targets. Everything a target needs that a fresh Debian 12 lacks is installed by `make deps`.
SHELL := /bin/bash
comma := ,
PRESET ?= release
BUILD := build/$(PRESET)
CLUSTER ?= demo
FRAMEWORK ?= shop
BENCH ?= list
SECONDS ?= 60
JOBS ?= $(shell nproc)
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo -E --preserve-env=HOME$(comma)PATH$(comma)XDG_CACHE_HOME )
export FROLLBACK_BUILD := $(CURDIR)/$(BUILD)
# Two checkouts share the compiler cache: paths are hashed relative to the tree.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

.PHONY: help deps build test sim crash sanitize fuzz monitoring kstatus node-soak demo cluster-up cluster-down image lint format bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install the Debian packages that are missing (says which)
	@tests/install-deps.sh

build: deps ## compile operator, mover and tests (PRESET=release|dev|asan|tsan|clang)
	@cmake --preset $(PRESET) >/dev/null && cmake --build --preset $(PRESET) -j $(JOBS)

test: deps ## build, then run every tier this machine can run; says which were skipped and why
	@PRESET=$(PRESET) tests/run.sh

crash: deps ## the mover killed, and its server, at every single statement; the operator at every pair of writes of a success
	@FRB_QUICK= TIERS=mover PRESET=$(PRESET) tests/run.sh
	@PRESET=$(PRESET) tests/sim/run.sh --pairs success

node-soak: deps ## half an hour of faults on a real node: kills, full disks, a paused leader (SEED=n repeats a run)
	@PRESET=$(PRESET) tests/node/run.sh --soak

sim: deps ## the simulator: SEEDS=N random runs (FROM=first), or SEED=N TRACE=1 for one of them with all that happened
	@PRESET=$(PRESET) SEEDS="$(SEEDS)" FROM="$(FROM)" SEED="$(SEED)" TRACE="$(TRACE)" tests/sim/run.sh

sanitize: deps ## unit tests and a little of the simulator with ASan+UBSan and TSan, fuzzers with the first (SANITIZERS="asan tsan")
	@tests/sanitize.sh $(SANITIZERS)

fuzz: deps ## fuzzers for SECONDS=60 each (FUZZERS="yaml toc" for some)
	@SECONDS_EACH=$(SECONDS) tests/fuzz/run.sh $(FUZZERS)

monitoring: deps ## alerting rules, dashboard and their tests, judged by promtool's own code (5 minutes the first time)
	@tests/monitoring/run.sh

kstatus: build ## every kind at every phase, as Flux sees it (its own library; a minute the first time)
	@tests/kstatus/run.sh

demo: deps ## from nothing to a real rollback on a real local cluster (FRAMEWORK=shop|n8n)
	@PRESET=$(PRESET) FRAMEWORK=$(FRAMEWORK) tests/demo/demo.sh

cluster-up: deps ## a one-node cluster to play with (CLUSTER=name)
	@$(AS_ROOT)tests/cluster/cluster up $(CLUSTER) --tier node

cluster-down: ## end that cluster
	@$(AS_ROOT)tests/cluster/cluster down $(CLUSTER)

image: deps ## OCI archives of operator and mover in build/images
	@PRESET=$(PRESET) tests/images.sh

lint: deps ## formatting, layering, words that do not belong here (TIDY=1: clang-tidy too, where make build has been)
	@tests/lint.sh

format: deps ## clang-format in place
	@git ls-files '*.cpp' '*.h' | xargs clang-format-14 -i

bench: deps ## figures (BENCH=list|restore|caches|events|downtime), never assertions: tests/bench
	@PRESET=$(PRESET) tests/bench/run.sh $(BENCH)

clean: ## remove build output
	@rm -rf build
