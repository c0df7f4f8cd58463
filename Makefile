# nftknock. "make help" lists the targets.

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=
FUZZTIME ?= 60s
# The kernel series to test, such as "6.1 6.12"; empty: all that test/kernels/table.go lists.
KERNELS ?=
# The tests of "make system" to run, a regular expression; empty: all.
RUN ?=

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
LDFLAGS := -s -w -X nftknock/pkg/version.version=$(VERSION)
# The race detector needs a C compiler; the programs and the other tests do not.
RACE    := $(if $(shell command -v gcc cc clang 2>/dev/null),-race,)
# Else each program that has it sleeps for a second before it ends.
export GORACE ?= atexit_sleep_ms=10
# The packages that wait most come first, and use the time of no processor.
SLOW    := ./test/e2e ./pkg/gate
TOOL     = cd test/tools && $(GO) build -o $(CURDIR)/bin/tools/ $(1)

.DEFAULT_GOAL := help
.PHONY: help demo test build install lint bench versus score fuzz interop kernels system clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## hide a service, knock, connect, and see the access end; no root, 20 s
	@test -x bin/demo/demo || echo "Compiling first: about a minute, the first time."
	@$(GO) build -o bin/demo/ ./cmd/... ./test/demo
	@bin/demo/demo

test: ## run all tests that need no root, on the real kernel
ifeq ($(RACE),)
	@echo "No C compiler found: the tests run without the race detector. Install gcc to use it." >&2
	@test -z "$$CI"
endif
	@echo "This takes about $(if $(filter 1,$(NFTKNOCK_THOROUGH)),10,4) minutes on two cores."
	@$(GO) mod download
	$(GO) test $(RACE) -parallel 8 $(SLOW) ./...

build: ## build nftknockd and nftknock into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

install: ## install the programs in bin/, the systemd unit and a sample policy (DESTDIR, PREFIX)
	@test -x bin/nftknockd && test -x bin/nftknock || { echo 'Nothing to install: run "make build" first.' >&2; exit 1; }
	install -D -m 0755 bin/nftknockd $(DESTDIR)$(PREFIX)/sbin/nftknockd
	install -D -m 0755 bin/nftknock $(DESTDIR)$(PREFIX)/bin/nftknock
	sed 's|/usr/sbin/nftknockd|$(PREFIX)/sbin/nftknockd|' deploy/systemd/nftknockd.service > bin/nftknockd.service
	install -D -m 0644 bin/nftknockd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/nftknockd.service
	install -d -m 0700 $(DESTDIR)/etc/nftknock $(DESTDIR)/etc/nftknock/conf.d
	install -m 0600 deploy/nftknockd.toml $(DESTDIR)/etc/nftknock/nftknockd.toml.sample
	install -D -m 0644 README.md $(DESTDIR)$(PREFIX)/share/doc/nftknock/README.md

lint: ## run gofmt, go mod tidy, vet, golangci-lint, staticcheck, and vet of the client for other systems
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "error: these files are not formatted: run gofmt -w on them"; exit 1; }
	$(GO) mod tidy -diff
	cd test/tools && $(GO) mod tidy -diff
	$(GO) vet ./...
	$(GO) vet -tags interop ./...
	$(GO) vet -tags system ./test/system
	@$(call TOOL,github.com/golangci/golangci-lint/v2/cmd/golangci-lint honnef.co/go/tools/cmd/staticcheck)
	bin/tools/golangci-lint run ./...
	bin/tools/staticcheck -tags interop ./...
	bin/tools/staticcheck -tags system ./test/system
	@for os in darwin windows freebsd openbsd netbsd; do \
	  echo "GOOS=$$os go vet ./cmd/nftknock"; GOOS=$$os CGO_ENABLED=0 $(GO) vet ./cmd/nftknock || exit 1; done

bench: ## measure time and allocations from packet to grant, and the fingerprints beside p0f
	$(GO) test -run '^$$' -bench . ./pkg/... ./test/e2e
	test/p0fcore/bench.sh $(CAPTURES)

versus: ## compare the fingerprint matcher with the core of p0f 3.09b (needs gcc; network once; CAPTURES="a.pcap ...")
	test/p0fcore/bench.sh $(CAPTURES)

score: ## score the fingerprints, and write docs/fingerprints.md (CORPUS=dir); or on CAPTURES=dir with labels (V=1 lists)
ifdef CAPTURES
	@$(GO) run ./test/score $(if $(V),-v) $(if $(DATABASE),-database $(DATABASE)) $(CAPTURES)
else
	$(GO) test -count=1 -run 'TestSightings|TestScore' -v ./pkg/p0f -update
endif

fuzz: ## run every fuzz target for FUZZTIME (60s)
	@for package in $$(grep -lr '^func Fuzz' pkg test --include=*_test.go | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$package/*_test.go | cut -c6-); do \
	    echo "$$package $$target"; \
	    NFTKNOCK_THOROUGH=1 $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) ./$$package || exit 1; done; done

interop: ## test with nft, fwknop, nmap and other programs (packages: see .ci/run)
	$(GO) test -tags interop -run 'Nft|Interop' ./pkg/doctor ./pkg/gate ./pkg/hostrules ./pkg/p0f ./pkg/spa ./pkg/spent ./pkg/totp ./test/e2e

kernels: ## run the demo and the kernel tests on Debian's kernels, in qemu (KERNELS="6.1 6.12")
	$(GO) run ./test/kernels -kernels "$(KERNELS)"

system: build ## test the installed daemon on a booted Debian 12, as root (RUN="TestReboot")
	$(GO) test -c -tags system -o bin/system/system.test ./test/system
	cd test/system && ../../bin/system/system.test -test.v -test.timeout 15m -test.run '$(RUN)'

clean: ## remove bin/
	rm -rf bin
