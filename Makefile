# Targets for people who run, test and change Teraslot. `make help` lists them.

# Real mail for the tests that want it; without it they skip, and make test says how many did.
CORPUS ?= $(wildcard ../shared/corpus)
# Tests run in their packages' directories: a relative path would lead each elsewhere.
override CORPUS := $(abspath $(CORPUS))
COUNT  ?= 0
SEED   ?= 1
GO     ?= go
export CORPUS SEED

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: build
build: ## build imapd, squatter and slotctl into bin/
	@mkdir -p bin
	$(GO) build -o bin/ ./cmd/...

.PHONY: demo
demo: build ## a slot with sample mail (MAIL=path for yours, ONCE=1 to stop after the tour)
	@bin/imapd demo

.PHONY: demo-replica
demo-replica: build ## a master and two replicas by docs/examples (ONCE=1 to stop after the tour)
	@$(GO) run ./bench/replicademo

.PHONY: test
test: ## every proof with small counts, at most 10 minutes
	@$(GO) test -json -timeout 9m ./... | $(GO) run ./bench/testreport

.PHONY: race
race: ## the tests under the race detector
	@$(GO) test -race -json -timeout 30m ./... | $(GO) run ./bench/testreport

.PHONY: check
check: ## gofmt, vet, staticcheck, then the tests under the race detector
	@test -z "$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go'))" || { gofmt -l $$(git ls-files -co --exclude-standard '*.go'); echo "gofmt: the files above"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@$(MAKE) --no-print-directory race

.PHONY: torture
torture: ## the proofs with full counts (COUNT= overrides, SEED=), resuming where it stopped
	@$(GO) run ./bench/torture -count $(COUNT) -seed $(SEED)

.PHONY: sabotage
sabotage: ## damage the code, one small patch at a time: the tests must turn red
	@$(GO) run ./bench/sabotage

# What make bench measures: RUN=deliver,queries names workloads (go run ./bench -list), PEER=cyrus or PEER=dovecot puts the same work
# to it in the same run, N=100000 makes synthetic mail, LIMIT= and QUERIES= shorten a run.
.PHONY: bench
bench: ## a table of each workload (CORPUS= mail or N= messages to make, RUN= workloads, PEER=cyrus or dovecot)
	@PEER=$(PEER) N=$(N) LIMIT=$(LIMIT) QUERIES=$(QUERIES) $(GO) run ./bench -run '$(RUN)'

BENCHCOUNT ?= 6
BENCH      ?= .
BENCHPKGS  ?= ./text ./message ./activefile ./tiers ./search ./squatter ./mailstore ./lmtp ./imapd/...
BENCHSTAT  ?= golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

.PHONY: bench-go
bench-go: ## Go benchmarks, summed up by benchstat (BASE=file of an earlier run to compare with, BENCH=, BENCHPKGS=, BENCHCOUNT=)
	@mkdir -p var
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCHCOUNT) -timeout 60m $(BENCHPKGS) >var/bench-go.txt || { cat var/bench-go.txt; exit 1; }
	$(GO) run $(BENCHSTAT) $(BASE) var/bench-go.txt

.PHONY: clean
clean: ## remove what the targets above made
	rm -rf bin var
