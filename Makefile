# `make test` runs every test, `make check` is the gate before it, `make demo` shows what Quorate is for.
# The tools, and the Node.js they run on, come from node_modules: any npm with Node.js 20 or later can install them.
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
.DEFAULT_GOAL := help
.PHONY: help install tools check format test unit sim fuzz system bench bench-size profile tail failover demo docs

help: ## what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST)

install: node_modules/.package-lock.json ## install what package-lock.json names, once

# npm writes this file last, so it is older than package-lock.json exactly when something has to be installed.
node_modules/.package-lock.json: package-lock.json
	@command -v npm >/dev/null || { echo 'npm is missing: install Node.js 20 or later first.' >&2; exit 1; }
	@echo 'installing the dependencies'
	@npm ci --no-audit --no-fund --no-update-notifier --loglevel=error
	@test -x node_modules/.bin/node || command -v node >/dev/null
	@touch $@

tools: ## the Debian packages that the tests need (strace, faketime, etcd-server, ...), installed where missing, as root or by sudo
	@test/tooling/debian-tools

check: install ## types, lint, format, unused code, import direction
	@npm run --silent check

format: install ## write every file the way `make check` wants it
	@npm run --silent format

docs: install ## write the pages that are made from tables in the code
	@npm run --silent docs

test: tools check ## every test: unit, sim, system
	@node test/tooling/run-tests.ts unit sim system

unit: install ## the quick tests alone
	@node test/tooling/run-tests.ts unit

system: tools install ## the tests with real processes alone
	@node test/tooling/run-tests.ts system

# The variables that a target takes, as the flags of its program: $(call flag,SEED,--seed).
flag = $(if $($1),$2 $($1))

sim: install ## the simulator: SEED=n again, with VERBOSE=1 or TIMELINE=file.html; SEEDS=n or FOR=seconds of fresh ones; PLANT=id
	@node --disable-warning=ExperimentalWarning test/sim/main.ts $(call flag,SEED,--seed) $(call flag,SEEDS,--seeds) \
	  $(call flag,FOR,--seconds) $(call flag,FROM,--from) $(call flag,JOBS,--jobs) $(call flag,NODES,--nodes) \
	  $(call flag,FAULT_MS,--fault-ms) $(call flag,ONLY,--only) $(call flag,TIMELINE,--timeline) \
	  $(call flag,PLANT,--plant) $(if $(VERBOSE),--verbose)

fuzz: install ## decoders against one another for a minute: FOR=seconds or INPUTS=n, SEED=n, TARGET=wire|json|merge|frames
	@node test/fuzz/main.ts $(call flag,TARGET,--target) $(call flag,SEED,--seed) $(call flag,INPUTS,--inputs) \
	  $(call flag,FOR,--seconds)

bench: install ## every budget beside a three-node etcd: ROUNDS=5, SECONDS=10, SPANS=n stored, ONLY=load,storage,matrix,failover
	@node bench/main.ts $(call flag,ROUNDS,--rounds) $(call flag,SECONDS,--seconds) $(call flag,SPANS,--spans) \
	  $(call flag,KILLS,--kills) $(call flag,NODES,--nodes) $(call flag,ONLY,--only) $(call flag,DIR,--dir)

bench-size: install ## the rows about size alone, with 20 million spans stored: SPANS=n
	@node bench/main.ts --only storage --spans $(or $(SPANS),20000000) $(call flag,ROUNDS,--rounds) $(call flag,DIR,--dir)

profile: install ## where the leader's CPU goes at peak: a flame graph as one HTML file, functions as text; SECONDS=10, FORMAT=json
	@node bench/profile.ts $(call flag,SECONDS,--seconds) $(call flag,FORMAT,--format) $(call flag,OUT,--out)

tail: install ## why acks are late: what each node did meanwhile; RATE=MB/s, SECONDS=n, LATE_MS=25
	@node bench/tail.ts $(call flag,RATE,--rate) $(call flag,SECONDS,--seconds) $(call flag,LATE_MS,--late-ms) $(call flag,DIR,--dir)

failover: install ## the leader killed KILLS=50 times: how long until each survivor acknowledges again
	@node bench/failover.ts $(call flag,KILLS,--kills) $(if $(VERBOSE),--verbose)

demo: install ## three nodes, real spans, a killed leader, nothing lost
	@node demo/main.ts
