# make run     set up, build, and run the whole pipeline on this machine; ARGS="…" goes to `gopcast up`
# make test    set up and run all tests
# make chaos   kill everything under running shows, for half an hour, and print what came of it
# make build   set up and build everything optimised
# make soak    an hour of a show, watched by two players and checked whole; MINUTES=… for fewer
# make bench-transcode  what transcoding costs and looks like beside one ffmpeg command (docs/BENCHMARKS.md)
# make simulate  a million shows with everything that may go wrong, in simulated time (docs/SIMULATION.md); SEEDS=… for fewer or more
#
# What is printed on the way goes to standard error: `make -s run ARGS=--json` leaves standard output to `gopcast`.

ARGS ?=
CARGO ?= cargo
SEEDS ?= 1000000
PROFILE_DIR := target/release
# Programs and tests by one build: apart, each would have what they share compiled with other features.
BUILD_TESTS := $(CARGO) build --locked --workspace --bins --tests

player_sources := $(shell find player/src player/static -type f 2>/dev/null) player/build.mjs player/package.json
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run build test chaos check setup setup-tests player clean

help:
	@sed -n 's/^# //p' Makefile | head -7

setup:
	@scripts/setup.sh

setup-tests:
	@scripts/setup.sh --tests

run: build
	@exec $(PROFILE_DIR)/gopcast up --demo $(ARGS)

build: setup player
	@$(CARGO) build --release --locked --workspace --exclude simulation --exclude bench --bins 1>&2

player: player/dist/index.html

player/node_modules/.package-lock.json: player/package-lock.json player/package.json | setup
	@cd player && npm ci --no-audit --no-fund 1>&2
	@touch $@

player/dist/index.html: player/node_modules/.package-lock.json $(player_sources)
	@cd player && npm run build 1>&2
	@touch $@

tests/browser/node_modules/.package-lock.json: tests/browser/package-lock.json tests/browser/package.json | setup-tests
	@cd tests/browser && npm ci --no-audit --no-fund 1>&2
	@touch $@

# The tests last, so that their summary is what one reads.
test: check
	@scripts/tests.sh

# The scenarios of tests/tests/chaos in full; `make test` runs their short forms.
chaos: setup-tests tests/browser/node_modules/.package-lock.json
	@$(BUILD_TESTS)
	@rm -f target/chaos/summary.md
	@GOPCAST_CHAOS=full scripts/tests.sh --test chaos; status=$$?; cat target/chaos/summary.md; exit $$status

# All but the tests themselves.
check: setup-tests player tests/browser/node_modules/.package-lock.json
	@$(CARGO) fmt --all --check
	@$(CARGO) deny --log-level error check bans licenses sources
	@$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@cd player && npm test
	@$(BUILD_TESTS)

simulate:
	@$(CARGO) run --release --locked -p simulation -- --seeds $(SEEDS)

# Camera to screen, in the browser, of a release build. Wants a quiet machine.
.PHONY: bench-latency
bench-latency: build setup-tests tests/browser/node_modules/.package-lock.json
	@$(PROFILE_DIR)/bench-latency $(SECONDS)

# An hour's show on a release build, watched to its end by two players, then checked whole (docs/BENCHMARKS.md).
.PHONY: soak
soak: build setup-tests tests/browser/node_modules/.package-lock.json
	@$(PROFILE_DIR)/soak $(MINUTES)

# Benchmarks (docs/BENCHMARKS.md); BENCH="…" goes to the program.
BENCH ?=
.PHONY: bench-transcode
bench-transcode: build setup-tests
	@$(CARGO) build --release --locked -p bench --bins 1>&2
	@$(PROFILE_DIR)/bench-transcode $(BENCH)

# Every fuzz target for TIME seconds, or the TARGET that is named (docs/FUZZING.md).
.PHONY: fuzz
fuzz:
	@TIME=$(or $(TIME),60) TARGET=$(TARGET) MERGE=$(MERGE) scripts/fuzz.sh

clean:
	@$(CARGO) clean
	@rm -rf player/dist player/node_modules tests/browser/node_modules

# infra/: form, tests, policy scan, and applied to an AWS emulator, planned again and destroyed. FAST=1 leaves out what needs the emulator.
.PHONY: infra-check images lambda lambda-check release conformance test-localstack
infra-check:
	@infra/check/run.sh $(if $(FAST),fast,all)

# The images of the edge and the encoder, pushed where `terraform output` of infra/ says. Wants docker with buildx.
images:
	@infra/build/images.sh

# The functions' zip files for arm64 and x86_64.
lambda:
	@infra/build/lambda.sh

# Writes the pages that are made from the sources: docs/METRICS.md and docs/CLI.md.
.PHONY: docs
docs:
	@UPDATE_DOCS=1 $(CARGO) nextest run --locked --workspace --lib --test docs -E '(package(service) & test(the_page)) | test(commands_and_flags)'

# What the functions' zip files promise: the same bytes twice, the runtime's glibc, size, start, memory. ARCH=x86_64 for one of them.
lambda-check:
	@infra/check/lambda.sh $(ARCH)

# target/release-VERSION/: programs and pages of this machine's architecture as a tarball, with an SBOM and checksums.
release: build
	@infra/build/release.sh

# The conformance suite of localstack/ over the embedded AWS, LocalStack and moto. BACKEND=moto for one of them.
conformance: setup-tests
	@localstack/conformance.sh $(BACKEND)

# The end-to-end suite with LocalStack's S3 and DynamoDB in place of the embedded ones. TESTS="…" goes to the test runner.
TESTS ?=
test-localstack: check
	@localstack/test.sh $(TESTS)

# What a publisher costs the edge, beside nginx-rtmp (docs/INGEST-BENCHMARK.md); BENCH="…" goes to the program.
.PHONY: bench-ingest
bench-ingest:
	@scripts/setup.sh --bench-ingest
	@$(CARGO) build --release --locked -p ingest-edge -p bench --bin ingest-edge --bin bench-ingest 1>&2
	@$(PROFILE_DIR)/bench-ingest $(BENCH)
