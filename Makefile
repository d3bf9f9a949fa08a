# `make` alone prints the targets. Settings: STACK (or ENV), SCENARIO, PYTHON, TARGET_PYTHON, HOST_WHEEL, MESHWRIGHT_CACHE, ISTIOCTL, DEBIAN_MIRROR.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
SCENARIO ?= timeout

# By the command line alone: a shell's own variable ENV names a file.
STACK ?= $(if $(findstring command,$(origin ENV)),$(ENV))
.PHONY: help up down demo test parity test-compiled lint doctor secrets setup setup-python setup-tests lock wheel bench bench-growth bench-policy bench-control istioctl istiod images sbom audit clean

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: setup ## install what is missing and bring the stack up (STACK=local|local-kubernetes|laptop|static|...)
	@tools/stack up $(STACK)

down: ## destroy the stack
	@tools/stack down $(STACK)

demo: setup-python ## show one scenario: SCENARIO=timeout|routing|canary|circuit-breaker|authentication
	@tools/stack demo $(STACK) --scenario $(SCENARIO)

secrets: setup-python ## make .vault_pass, the vault and the SSH key of an environment (STACK, default local)
	@$(BIN)/python -m stacks.vault $(if $(STACK),$(STACK),local)

test: setup-tests ## run the whole test suite
	@$(BIN)/python -m pytest -n 2 --dist loadscope $(PYTEST_ARGS)

test-compiled: setup-python ## run every test of the proxy on its compiled wheel
	@tools/compiled test $(PYTEST_ARGS)

parity: setup-tests ## compare the proxy with a real Envoy, case by case, and write docs/parity.md
	@$(BIN)/python -m tests.parity.page
	@$(BIN)/python -m pytest -n 0 tests/parity $(PYTEST_ARGS)

lint: setup-python ## formatting, rules, types, import contracts, roles, locks
	@tools/lint

doctor: ## check this machine: reads only, needs nothing
	@tools/doctor.py

setup: ## make the environment and have a Pulumi
	@tools/setup

setup-python:
	@tools/setup --only python

setup-tests:
	@tools/setup --tests $(SETUP_ARGS)

lock: setup-python ## make the hash locks in requirements/ anew
	@tools/lock $(LOCK_ARGS)

wheel: setup-python ## build our wheels into dist/, plain and compiled, and the archive of wheels for hosts
	@tools/wheelhouse
	@tools/compiled wheel

bench: setup-python ## CPU time per request of our proxy beside a real Envoy, interpreted and compiled
	@tools/bench proxy $(BENCH_ARGS)

bench-growth: setup-python ## whether our proxy's memory grows in half an hour of full load
	@tools/bench growth --seconds 1800 $(BENCH_ARGS)

bench-policy: setup-python ## how long `mesh` takes for 3,000 objects and 10,000 requests, beside istioctl (ISTIOCTL)
	@tools/bench policy $(BENCH_ARGS)

bench-control: setup-python ## how long a change takes to the last of 1,000 proxies, and what it costs, beside istiod (ISTIOD)
	@tools/bench control $(BENCH_ARGS)

istioctl: setup-python ## build the istioctl to compare with, into MESHWRIGHT_CACHE (needs Go; ten minutes)
	@tools/bench istioctl

istiod: setup-python ## build the istiod to compare with, into MESHWRIGHT_CACHE (needs Go; ten minutes)
	@tools/bench istiod

images: setup-python ## build container images of ours and of Kubernetes, and programs of its nodes, into dist/ (as root; IMAGE_ARGS)
	@$(BIN)/python -m stacks.images $(IMAGE_ARGS)

sbom: setup-python ## list every Python package and Go module that is used, with its checksums, as CycloneDX, into dist/sbom/
	@tools/supply_chain sbom

audit: setup-python ## look for known vulnerabilities in every locked package (needs an index that knows of them)
	@tools/supply_chain audit

clean: ## remove what was built and cached in the checkout (not the state of stacks)
	@rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .ansible .meshwright/logs .meshwright/wheelhouse .meshwright/wheels.tar
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
