# Every job has one target; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TOOL := go tool -modfile=hack/tools/dev/go.mod
# What `make build` stamps into the binary.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Without grpc's own pages of traces, which nobody serves, and which make the linker keep every method of every type (docs/adr/0046-footprint.md).
TAGS := grpcnotrace
# Where `make demo KEEP=1 DIR=path` keeps its files.
KEEP ?=
DIR ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/entente
	CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/entente ./cmd/entente

.PHONY: demo
demo: build ## Three agencies on this machine; KEEP=1 DIR=path keeps them running
	bin/entente demo $(if $(KEEP),--keep) $(if $(DIR),--dir '$(DIR)')

.PHONY: demo-kubernetes
demo-kubernetes: build servers ## The same on a real kube-apiserver, Vault and PostgreSQL, until Ctrl-C
	go run ./hack/demo-kubernetes --entente bin/entente

.PHONY: test
test: test-unit test-e2e ## Everything, on real servers

.PHONY: test-unit
test-unit: ## Unit, golden and fuzz seeds; needs no server
	go test -short ./...

.PHONY: test-e2e
test-e2e: build servers ## What needs a real kube-apiserver, etcd, Vault and PostgreSQL
	hack/test-e2e.sh

.PHONY: test-charts
test-charts: ## Charts, config/default and image: with the real Helm on a real API server and Vault
	hack/tools/servers.sh kube vault postgres prometheus >/dev/null
	go test -count=1 -timeout 30m ./hack/charts/...
	cd hack/image && go test -count=1 -timeout 30m ./...

.PHONY: image
image: ## Build the container image into dist/, for amd64 and arm64, without a container engine
	cd hack/image && SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) go run . --root ../.. --out ../../dist --version '$(VERSION)' --revision "$$(git rev-parse HEAD)"

.PHONY: servers
servers: ## Build or find the real servers that tests use (cached outside the work tree)
	hack/tools/servers.sh

.PHONY: bench
bench: ## Run every benchmark, shorter than by itself, and write docs/performance.md from the results
	go test -run '^$$' -bench . -benchmem -benchtime 100ms ./gateway/filter ./gateway/enforce ./gateway/federation ./gateway/audit ./controllers/compile
	$(MAKE) bench-query QUERY='-rounds 3 -rows 200000'
	$(MAKE) bench-hop HOP='-rounds 2 -time 1s -callers 64'
	$(MAKE) bench-log LOG='-rounds 3'
	$(MAKE) bench-revoke REVOKE='-rounds 2'
	$(MAKE) bench-width WIDTH='-rounds 5'
	$(MAKE) bench-footprint FOOTPRINT='-rounds 2 -starts 3'
	$(MAKE) bench-scale SCALE='-agreements 100,1000 -rounds 20'
	go run ./hack/bench/render

.PHONY: bench-hop
bench-hop: ## Measure a governed look-up against a bare one, on PostgreSQL; HOP='-rounds 3' for less
	go run ./hack/bench/hop -out hack/bench/results/hop.json $(HOP)

.PHONY: bench-query
bench-query: ## Measure look-ups, three-way queries and a million rows against bare gRPC, postgres_fdw, lura and COPY; QUERY='-rounds 3 -callers 64' for less
	go run ./hack/bench/query -out hack/bench/results/query.json $(QUERY)

.PHONY: bench-revoke
bench-revoke: build servers ## Measure suspend→denied at both parties, on real servers; REVOKE='-rounds 2' for less
	go run ./hack/bench/revoke -entente bin/entente -out hack/bench/results/revoke.json $(REVOKE)

.PHONY: bench-footprint
bench-footprint: build servers ## Measure binary, start, idle memory, and Go's settings for memory under load, on real servers; FOOTPRINT='-rounds 2' for less
	go run ./hack/bench/footprint -entente bin/entente -out hack/bench/results/footprint.json $(FOOTPRINT)

.PHONY: bench-scale
bench-scale: build servers ## Measure an agency with 100, 1,000 and 10,000 agreements, on real servers; SCALE='-agreements 100 -rounds 10' for less
	go run ./hack/bench/scale -entente bin/entente -out hack/bench/results/scale.json $(SCALE)

.PHONY: bench-width
bench-width: ## Measure one query to 10, 100 and 1,000 agencies, in one process; WIDTH='-rounds 5' for less
	go run ./hack/bench/width -out hack/bench/results/width.json $(WIDTH)

.PHONY: bench-log
bench-log: ## Measure the log against a raw group-committed file; LOG='-rounds 3' for less
	go run ./hack/bench/log -out hack/bench/results/log.json $(LOG)

.PHONY: hammer
hammer: build ## Load three agencies, kill their gateways, look for the proof of every answer; HAMMER='-duration 3m' for longer
	go run ./hack/hammer -entente bin/entente $(HAMMER)

.PHONY: generate
generate: ## Regenerate CRDs, deep copies, protobuf, charts and reference pages
	$(TOOL) controller-gen object paths=./api/v1alpha1/... crd output:crd:dir=config/crd
	go test ./api/v1alpha1 -run TestReference -update
	$(TOOL) buf generate
	go test ./gateway/enforce -run TestReference -update
	go test ./gateway/server -run TestReference -update
	go test ./gateway/filter -run 'TestNormalTable|TestIndexPage' -update
	go run ./hack/charts/generate
	go test ./config/profiles -run TestDocs -update

.PHONY: verify
verify: ## Check formatting, vet, staticcheck, generated code
	hack/verify.sh

.PHONY: docs
docs: ## Make a site of docs/ into dist/docs, and fail when a link leads nowhere
	go run ./hack/docs --out dist/docs

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (default 30s)
	hack/fuzz.sh $(or $(FUZZTIME),30s)
