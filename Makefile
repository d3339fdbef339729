# SPDX-License-Identifier: GPL-2.0-only
# ringway. `make help` lists the targets.

# make's own default is cc: `CC ?=` would never apply.
ifeq ($(origin CC),default)
CC      := gcc
endif
CLANG   ?= clang
BPFTOOL ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
BUILD   ?= build
PREFIX  ?= /usr/local
SHELL   := /bin/bash
TRIPLE  := $(shell uname -m)-linux-gnu
VERSION := 0.1.0

Q   = $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes \
	    -Wwrite-strings
CPPFLAGS := -D_GNU_SOURCE -DRINGWAY_VERSION='"$(VERSION)"' -Iinclude -Iuser -I$(BUILD)/xdp -I$(BUILD)/tests/bench
CFLAGS   := -std=gnu11 -O2 -g -pthread $(WARNINGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer \
	    -fno-sanitize-recover=all)
LDFLAGS  := -pthread $(if $(SANITIZE),-fsanitize=$(SANITIZE))
LDLIBS   := -lxdp -lbpf -lmnl -lyaml -ljansson -lurcu-qsbr -lurcu-cds -luring -lcap-ng -lpcap -lcrypto
PEER_LDLIBS := -lngtcp2_crypto_gnutls -lngtcp2 -lnghttp3 -lgnutls -ljansson -lcrypto

# What there is: every folder's files are found, none is listed.
BPF_SOURCES  := $(wildcard xdp/*.bpf.c tests/bench/*.bpf.c tests/integration/*.bpf.c)
SKELETONS    := $(BPF_SOURCES:%.bpf.c=$(BUILD)/%.skel.h)
LIB_SOURCES  := $(filter-out user/cli/%,$(wildcard user/*/*.c))
CLI_SOURCES  := $(wildcard user/cli/*.c)
UNIT_SOURCES := $(wildcard tests/unit/*_test.c)
BPF_TESTS    := $(wildcard tests/bpf/*_test.c)
FUZZ_SOURCES := $(wildcard tests/fuzz/*_fuzz.c)
BENCH_SOURCES := $(filter-out %.bpf.c,$(wildcard tests/bench/*.c))
FAKE_SOURCES := $(wildcard tests/fake/*.c)
PEER_SOURCES := $(wildcard tests/peers/*.c)
PEER_PARTS   := $(wildcard tests/peers/*/*.c)
MAN_SOURCES  := $(wildcard user/man/*.scd)

LIBRARY  := $(BUILD)/libringway.a
PROGRAMS := $(foreach c,$(CLI_SOURCES),$(BUILD)/$(subst _,-,$(basename $(notdir $(c)))))
UNIT     := $(UNIT_SOURCES:%.c=$(BUILD)/%)
ROOTED   := $(BPF_TESTS:%.c=$(BUILD)/%)
PEERS    := $(PEER_SOURCES:%.c=$(BUILD)/%)
FUZZERS  := $(FUZZ_SOURCES:%.c=$(BUILD)/%)
FUZZ_PARTS := $(wildcard user/core/*.c user/util/*.c user/config/*.c)
BENCHES  := $(BENCH_SOURCES:%.c=$(BUILD)/%)
MANPAGES := $(MAN_SOURCES:user/man/%.scd=$(BUILD)/man/%)
OBJECTS  := $(patsubst %.c,$(BUILD)/%.o,$(LIB_SOURCES) $(CLI_SOURCES) $(UNIT_SOURCES) \
	      $(BPF_TESTS) $(BENCH_SOURCES) $(FAKE_SOURCES) $(PEER_SOURCES) $(PEER_PARTS))

# What is run, in this order: fast ones first.
CHECKS := scripts/check_layers.sh scripts/check_format.sh $(UNIT) $(sort $(wildcard tests/golden/*.sh)) \
	  $(if $(SANITIZE),,$(sort $(wildcard tests/fuzz/*.sh)))
ROOT_TESTS := $(ROOTED) $(sort $(wildcard tests/integration/*_test.sh))
# What shows ringwayd itself to a sanitizer: its start and end, its links, two workers, bulk,
# owners sought by both of them, reloads, sockets in every way.
SANITIZED  := $(patsubst %,tests/integration/%_test.sh,signals link queues http3 reset reload flush socket)
IS_ROOT    := $(filter 0,$(shell id -u))

.PHONY: all check test bench bench-full bench-scenario1 survival demo install asan tsan setup \
	setup-bench programs tests format clean help
.DELETE_ON_ERROR:
.SECONDARY:

all: programs $(MANPAGES) ## build everything that gets installed
	@:
programs: $(PROGRAMS)
tests: all $(UNIT) $(ROOTED) $(BENCHES) $(PEERS) $(if $(SANITIZE),,$(FUZZERS))

check: tests ## all tests that need no root
	$(Q)BUILD=$(BUILD) tests/run $(CHECKS)

test: setup ## install what is missing, then every test (root); QUICK=1 for the gate's form
	$(Q)$(MAKE) --no-print-directory -j$(shell nproc) tests
	$(Q)$(MAKE) --no-print-directory -j$(shell nproc) BUILD=$(BUILD)/clang CC=$(CLANG) all
	$(Q)BUILD=$(BUILD) tests/run $(CHECKS) $(ROOT_TESTS)

demo: setup ## install what is missing, then an HTTP/3 download through ringwayd (root)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(BUILD) scripts/demo.sh

bench: setup-bench ## ringwayd beside its ceiling and others, in one run (root); PAIRS=N runs of each, QUICK=1
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)BUILD=$(BUILD) tests/bench/run

bench-full: setup-bench ## the same with 41 pairs, how costs grow, and where time goes (root)
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)BUILD=$(BUILD) PAIRS=$${PAIRS:-41} tests/bench/run forward path opponents growth sharing profile

bench-scenario1: setup-bench ## a proxy that loses datagrams, and what helps (root); QUICK=1
	$(Q)$(MAKE) --no-print-directory programs
	$(Q)BUILD=$(BUILD) tests/bench/scenario1

survival: setup ## what becomes of running transfers, as a table; QUICK=1: 2 a cell (root)
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)BUILD=$(BUILD) tests/survival/run

asan: SANITIZE := address,undefined
tsan: SANITIZE := thread
asan: ## `make check`, for root some of `make test` too, under Address- and UBSanitizer
tsan: ## the same under ThreadSanitizer
tsan: export TSAN_OPTIONS := suppressions=$(CURDIR)/tests/tsan.supp
# ThreadSanitizer holds back the signal that ends ringway-load, so that is an ordinary one.
asan tsan:
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/$@ SANITIZE=$(SANITIZE) check
	$(if $(IS_ROOT),$(Q)$(MAKE) --no-print-directory programs)
	$(if $(IS_ROOT),$(Q)BUILD=$(BUILD)/$@ LOAD=$(abspath $(BUILD))/ringway-load SANITIZE=$(SANITIZE) QUICK=1 \
		tests/run $(SANITIZED))

setup: ## install the Debian packages that are missing (root)
	$(Q)scripts/setup.sh

setup-bench: ## and those of the benchmarks
	$(Q)scripts/setup.sh bench

install: all ## into $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/ringway \
		$(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/sbin
	install -m 644 $(filter-out %.md,$(wildcard configs/*)) $(DESTDIR)$(PREFIX)/share/ringway
	sed -i 's|/usr/local/sbin|$(PREFIX)/sbin|' $(DESTDIR)$(PREFIX)/share/ringway/ringwayd.service
	for page in $(MANPAGES); do \
		install -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}; done

format: ## lay out all C files
	$(Q)clang-format -i $$(git ls-files -co --exclude-standard '*.c' '*.h')

clean: ## remove $(BUILD)
	$(Q)rm -rf $(BUILD)

help:
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24
	@echo '  V=1 shows commands; BUILD=dir, CC=clang, PREFIX=, DESTDIR= as usual'

# Build rules.
$(BUILD)/%.bpf.o: %.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) -target bpf -g -O2 -Wall -Werror -MMD -MP -Iinclude -I/usr/include/$(TRIPLE) -c $< -o $@

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(notdir $*) > $@

$(BUILD)/%.o: %.c | $(SKELETONS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -MMD -MP $(CFLAGS) -c $< -o $@

$(LIBRARY): $(LIB_SOURCES:%.c=$(BUILD)/%.o)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

define program
$(BUILD)/$(subst _,-,$(basename $(notdir $(1)))): $(1:%.c=$(BUILD)/%.o) $(LIBRARY)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(LDFLAGS) $$^ $$(LDLIBS) -o $$@
endef
$(foreach c,$(CLI_SOURCES),$(eval $(call program,$(c))))

# Tests that use a fake get it in the place of the library's file.
$(BUILD)/tests/unit/af_xdp_test $(BUILD)/tests/unit/allocation_test: $(BUILD)/tests/fake/xsk.o
$(UNIT) $(ROOTED) $(BENCHES): %: %.o $(LIBRARY)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(LIBRARY) -lcmocka $(LDLIBS) -o $@

# The peers of the tests have libraries of their own, and all their parts.
$(PEERS): %: %.o $(PEER_PARTS:%.c=$(BUILD)/%.o) $(LIBRARY)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $^ $(PEER_LDLIBS) -o $@

# Fuzzers have objects of their own of what they fuzz: all that is pure.
$(BUILD)/fuzz/%.o: %.c
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) -MMD -MP $(CFLAGS) -O1 -fsanitize=fuzzer-no-link,address,undefined \
		-fno-sanitize-recover=all -c $< -o $@

$(FUZZERS): $(BUILD)/%: $(BUILD)/fuzz/%.o $(FUZZ_PARTS:%.c=$(BUILD)/fuzz/%.o)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined $^ -lbpf -lyaml -lcrypto -lcap-ng -o $@

$(BUILD)/man/%: user/man/%.scd $(BUILD)/ringwayd
	$(call say,MAN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)sed -e '/^@config@$$/{s/.*//;r '<($(BUILD)/ringwayd --help-config=scdoc) -e '}' $< | scdoc > $@

-include $(OBJECTS:.o=.d) $(patsubst %.c,$(BUILD)/fuzz/%.d,$(FUZZ_SOURCES) $(FUZZ_PARTS)) $(BPF_SOURCES:%.bpf.c=$(BUILD)/%.bpf.d)
