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

.PHONY: bench
bench: ## delivery, search, index and fetch figures, beside a peer where one is installed
	@$(GO) run ./bench

.PHONY: clean
clean: ## remove what the targets above made
	rm -rf bin var
