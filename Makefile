# What one does here; `make help` says it in the terminal. Nothing is installed: tools are built once, into .build/tools.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory

LINTER        := golangci-lint@v2.15.0
WORKFLOWCHECK := workflowcheck@v0.6.0
# A number of tries: with a time, the fuzzer now and then fails by its own deadline.
FUZZTIME      ?= 5000x
# How often each property is checked.
CHECKS        ?= 10000
KEEP          ?= 1
# How long `make prove` plays pairs of faults; 0: until all were played.
PROVE         ?= 0
# How many orders reconciliation is measured with.
ORDERS        ?= 100000
PER_DAY       ?= 50000

TOOLS  := $(CURDIR)/.build/tools
ENGINE := $(CURDIR)/.build/engine
# A build does not depend on whether git trusts the folder.
export GOFLAGS := $(strip $(shell go env GOFLAGS) -buildvcs=false)
# The race detector needs a C compiler. It does not look into the C of SQLite that was translated to Go, which is several times slower under it:
# no function of ours runs there, it works on memory that is none of Go's, and its locks and what it is called by are looked at as all else.
RACE := $(shell [ "$$(go env CGO_ENABLED)" = 1 ] && command -v $$(go env CC) >/dev/null && echo "-race '-gcflags=modernc.org/sqlite/lib=-race=false'")
# Tests are many short worlds that die whole: collecting their garbage more rarely saves a fifth of their time. What measures memory
# (bench) goes as it would in production.
test quick properties fuzz mutants gallery incidents prove: export GOGC ?= 400
# Where nothing goes on beside anything else, the race detector finds nothing: the core is values in and values out, and a replay is one
# workflow at a time.
ALONE = ./order ./reconcile ./testsuite/histories
# What talks to an engine of its own; all else of testsuite that is not named below is in FAST. Crowds of orders go without the race
# detector: it finds nothing in them that the sweeps' own tests do not, and takes two minutes.
SLOW = ./starters
# The paths of an order's life, through months of virtual time: a few of them with the race detector, for the code under it is
# the same in all, and then all of them.
RACED_PATHS = ^Test(Order_(Shipped|Challenge|Notices|Cancelled)|Inbox|Meet_Refund)
# The end-to-end tests with the race detector, but for the long ones with deadlines, faults and crashes: those go without,
# for it makes two cores three times as slow, and lets orders miss their deadlines.
RACED = ^Test(Life|Cancel|Messages|Refusals|Ledgers)
TESTS = TRUEUP_TEST_ENGINE=$(ENGINE) go test -v -count=1 -p 1 -timeout 25m
# Stories in virtual time; a sample of them, for `make incidents` and `make prove` play all. Without the race detector: in a bubble
# one goes on at a time.
STORIES = ./testsuite/virtual ./testsuite/ledgers ./testsuite/decoders ./testsuite/incident ./testsuite/prove ./testsuite/gallery
FAST = $(shell go list ./... | grep -v -e /workflows -e /endtoend -e /virtual -e /crowd -e /incident -e /prove -e /gallery -e /ledgers -e /decoders \
	-e '/trueup/order$$' -e '/trueup/reconcile$$' -e '/histories$$')

.PHONY: help demo test quick lint workflowcheck fuzz properties mutants gallery incidents prove bench bench-reconcile engine programs engine-test ci clean
.DEFAULT_GOAL := help

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: engine programs ## one order, six systems that disagree, told for real; KEEP=0 stops everything at the end
	@KEEP=$(KEEP) go run ./testsuite/demo

test: quick engine ## all tests: first the fast ones, then workflows and the end-to-end tests on the embedded engine
	@echo "== workflows and the end-to-end tests on the embedded engine (some minutes); the whole log is in .build/test.log"
	@{ $(TESTS) -parallel 4 ./workflows && $(TESTS) $(RACE) -run '$(RACED_PATHS)' ./workflows && $(TESTS) $(RACE) $(SLOW) && $(TESTS) ./testsuite/crowd && $(TESTS) -short $(STORIES) && $(TESTS) $(RACE) -run '$(RACED)' ./testsuite/endtoend && $(TESTS) -skip '$(RACED)' ./testsuite/endtoend; } 2>&1 \
		| tee .build/test.log | grep --line-buffered -E '^(--- |ok|FAIL|panic:|WARNING: DATA RACE|\?)' \
		|| { echo "== what failed, in full:"; grep -v -E '^=== |^ *--- (PASS|SKIP)' .build/test.log | tail -n 400; exit 1; }

quick: ## vet, gofmt and the tests that need no engine
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	@[ -n "$(RACE)" ] || echo "== no C compiler here: the tests go without the race detector"
	go vet ./...
	@go test -short -timeout 15m $(ALONE)
	@go test -short -timeout 15m $(RACE) $(FAST)

lint: $(TOOLS)/$(LINTER) ## golangci-lint, see .golangci.yml; its first build takes some minutes
	@$< run ./...

workflowcheck: $(TOOLS)/$(WORKFLOWCHECK) ## the workflows are deterministic
	@$< ./workflows/... && echo "== no workflow does what a replay cannot repeat"

fuzz: ## each fuzz target, FUZZTIME tries
	@grep -rE '^func Fuzz' --include='*_test.go' . | sed -E 's|/[^/]*_test.go:func (Fuzz[A-Za-z0-9_]*).*| \1|' | sort | while read -r package target; do \
		echo "== $$package $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x "$$package"; done

properties: ## every property of the core, CHECKS times, and the oracle of small orders; SEED=n draws what it drew before
	@go test -count=1 -timeout 60m -run '^Test(Property|Oracle)_' ./reconcile -rapid.checks=$(CHECKS) -rapid.nofailfile $(if $(SEED),-rapid.seed=$(SEED))

mutants: ## small mistakes in the core, and which property notices each
	@go run ./testsuite/mutants

gallery: $(TOOLS)/$(WORKFLOWCHECK) ## realistic bugs seeded into the product, one at a time, and which proof catches each
	@go run ./testsuite/gallery -workflowcheck $<

incidents: engine ## real incidents, as files, each with the end that it must have; a sample of them on the real engine; and 50 seeds twice, with the same traces
	@go run ./testsuite/incident testsuite/incident/testdata
	@$(TESTS) -run '^TestIncidents_OnTheRealEngine$$' ./testsuite/incident
	@go test -count=1 -run '^TestUniverse_SameSeed_SameTrace$$' ./testsuite/virtual

prove: engine ## the long proofs: all faults and all pairs of faults, from where the last run stopped, and a death at every call; hours
	@go run ./testsuite/prove -for $(PROVE) -state .build/prove.json
	@$(TESTS) -run '^TestKill_' ./testsuite/endtoend -kills 0

bench: engine ## what it costs beside its floor, one line a figure
	@TRUEUP_TEST_ENGINE=$(ENGINE) go run ./testsuite/bench

bench-reconcile: engine ## what reconciling ORDERS orders costs beside only reading their pages; every planted break must be found
	@TRUEUP_TEST_ENGINE=$(ENGINE) go run ./testsuite/bench -reconcile $(ORDERS) $(if $(PER_DAY),-per-day $(PER_DAY)) $(if $(DATA),-data $(DATA))

engine: ## the embedded Temporal engine, .build/engine; the first build takes some minutes
	@deployments/temporal/build.sh $(ENGINE)

programs: ## trueup, gateway, worker and the simulated systems, into .build
	@go build -o .build/ ./starters/trueup ./starters/gateway ./workers/worker ./testsuite/world/systems

engine-test: ## the tests of the engine's own module
	@cd deployments/temporal && GOWORK=off go vet ./... && GOWORK=off go test -timeout 15m ./...

ci: ## everything that has to pass before a change lands
	@bash .ci/run

clean: ## remove what was built and the demo's data
	rm -rf .build .demo

$(TOOLS)/%:
	@echo "building $* once, outside of go.mod ..."
	@mkdir -p $(TOOLS) && cd $(TOOLS) && GOBIN=$(TOOLS) GOFLAGS=-buildvcs=false go install $(if $(findstring golangci,$*),github.com/golangci/golangci-lint/v2/cmd,go.temporal.io/sdk/contrib/tools)/$*
	@mv $(TOOLS)/$(firstword $(subst @, ,$*)) $@
