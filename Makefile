.PHONY: all build check test race bench bench-compare bench-guard soak clients fuzz demo unit vulnerabilities schema dist dist-check image-check

all: check test

build:
	CGO_ENABLED=0 go build -trimpath -o gemini-resilient-proxy .

check:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	GOOS=darwin go vet . ./proxy ./stream ./routing
	GOOS=windows go vet . ./proxy ./stream ./routing

test:
	go test ./...

race:
	go test -race -shuffle=on ./...

bench:
	go test -run '^$$' -bench . ./...

# The proxy beside others, on this machine: about an hour, COMPARE=-quick for a fifth of that.
bench-compare:
	cd bench/compare && go run . $(COMPARE)

# Allocations and times beside the stored baseline: three minutes. GUARD=-update
# makes what is there now the baseline.
bench-guard:
	cd bench/guard && go run . $(GUARD)

# Mixed faults at half of capacity for so long, and whether anything grows:
# SOAK=2h for longer, SOAKFLAGS="-rate 100" and the like.
SOAK ?= 10m
soak:
	cd bench/soak && go run . -duration $(SOAK) $(SOAKFLAGS)

# Real clients over every fault, through the proxy and without it: two or three minutes.
# CLIENTS=-write puts the tables into docs/clients.md.
clients:
	go run ./bench/clients $(CLIENTS)

# A minute for each parser of foreign bytes. What fails is tried once more: the
# end of the time itself is now and then reported as a failure ("context deadline
# exceeded"), while a real one has left its input behind and fails at once.
FUZZTIME ?= 60s
fuzz:
	@grep -rhoE 'func Fuzz[A-Za-z0-9]+' --include='*_test.go' stream routing proxy | sort -u | while read -r _ name; do \
		dir=$$(grep -rlE "func $$name\b" --include='*_test.go' stream routing proxy | head -n 1 | xargs dirname); \
		run="go test -run ^$$ -fuzz ^$$name$$ -fuzztime $(FUZZTIME) -fuzzminimizetime 1s ./$$dir"; \
		echo "$$dir $$name"; $$run || $$run || exit 1; \
	done

demo:
	go run . -demo

unit:
	systemd-analyze security --offline=true --threshold=13 deploy/gemini-resilient-proxy.service

# Known vulnerabilities that the program can reach.
vulnerabilities:
	.ci/vulnerabilities

# What editors complete the configuration file by.
schema:
	go run . -schema > deploy/config.schema.json

# What is handed out, into dist/: static binaries, packages, their parts, checksums.
dist:
	deploy/dist.sh

# Two builds of the commit give the same bytes, the binary for arm64 heals under
# emulation (qemu-user-static), and the package does its work on systems that
# have nothing else: one whose systemd does not know Type=notify-reload yet, and
# one whose systemd does.
SUITES ?= bookworm trixie
dist-check:
	deploy/dist.sh -prove
	deploy/test-arch.sh arm64
	set -e; for suite in $(SUITES); do deploy/test-package.sh $$suite; deploy/test-systemd.sh $$suite; done

# The Dockerfile builds, and what it builds heals: buildah does it, without a container
# engine and without a registry.
image-check:
	deploy/test-image.sh
