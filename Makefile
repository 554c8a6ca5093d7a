# SPDX-License-Identifier: Apache-2.0
# make help lists the targets. SANITIZER=address,undefined or thread builds into a folder of
# its own; V=1 shows the commands; WERROR=1 turns warnings into errors, as CI does.

CC ?= cc
PKG_CONFIG ?= pkg-config
OBJCOPY ?= objcopy
HTTP_PORT ?= 8080
PREFIX ?= /usr/local
# Of the library and all programs, and of the server alone.
LIBRARY_PACKAGES := libcjson yaml-0.1 zlib
PACKAGES := $(LIBRARY_PACKAGES) libnghttp2
# Those that pkg-config does not find, or all if there is no pkg-config.
MISSING := $(strip $(foreach package,$(PACKAGES),$(shell $(PKG_CONFIG) --exists $(package) 2>/dev/null || echo $(package))))
# What is built for, which a cross compiler says.
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))

comma := ,
B := build$(if $(SANITIZER),/$(subst $(comma),-,$(SANITIZER)))
O := $(B)/obj

# Order of operations is part of the results, so the compiler may not fuse or reorder them.
# A build with sanitizers is for tests: -O1 halves its time. What computes has -O2, or the tests take longer by as much.
CFLAGS ?= $(if $(SANITIZER),-O1 -g1,-O2 -g)
C_FLAGS := -std=c11 -D_GNU_SOURCE -Isrc -Iinclude -fPIE -fvisibility=hidden -ffp-contract=off \
    -fno-math-errno -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla $(if $(WERROR),-Werror) \
    $(CFLAGS) $(if $(MISSING),,$(shell $(PKG_CONFIG) --cflags $(PACKAGES)))
LINK_FLAGS := -pie $(LDFLAGS)
ifdef SANITIZER
C_FLAGS += -fsanitize=$(SANITIZER) -fno-sanitize-recover=all -fno-omit-frame-pointer
LINK_FLAGS += -fsanitize=$(SANITIZER)
else
C_FLAGS += -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection
LINK_FLAGS += -Wl,-z,relro,-z,now,--as-needed
endif
LIBS = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -lm -lpthread -ldl

PROGRAMS := server convert train score
# The trainer and dcnv2-score alone have these.
TRAINING_ROOMS := backend data native report torch train
SOURCES := $(sort $(filter-out src/tools/% $(addsuffix /%,$(addprefix src/,$(TRAINING_ROOMS))),$(wildcard src/*.c src/*/*.c)))
OBJECTS := $(SOURCES:src/%.c=$(O)/%.o)
ifeq ($(MACHINE),x86_64)
OBJECTS += $(foreach set,avx2 avx512,$(O)/kernels/vectorised_$(set).o)
endif
TRAIN_OBJECTS := $(patsubst src/%.c,$(O)/%.o,$(sort $(wildcard $(addsuffix /*.c,$(addprefix src/,$(TRAINING_ROOMS))))))
ifeq ($(MACHINE),x86_64)
TRAIN_OBJECTS += $(foreach set,avx2 avx512,$(O)/native/gradient_kernels_$(set).o $(O)/native/adam_kernels_$(set).o)
endif
TOOL_OBJECTS := $(patsubst src/%.c,$(O)/%.o,$(sort $(wildcard src/tools/*.c)))
TEST_OBJECTS := $(filter-out $(O)/main.o,$(OBJECTS)) $(TRAIN_OBJECTS)

UNIT_SOURCES := $(sort $(shell find tests/unit -name 'test_*.c' 2>/dev/null))
UNIT_HELPERS := $(patsubst %.c,$(O)/%.o,$(sort $(shell find tests/unit -name '*.c' ! -name 'test_*.c' 2>/dev/null)))
UNIT_TESTS := $(UNIT_SOURCES:tests/%.c=$(B)/tests/%) $(B)/tests/kernels
KERNELS_TEST := $(patsubst %.c,$(O)/%.o,$(sort $(wildcard tests/kernels/*.c)))
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_PROGRAMS := $(FUZZ_TARGETS:%=$(B)/tests/fuzz/fuzz_%)
TORCH_TESTS := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/torch/test_*.c)))
TORCH_HELPERS := $(patsubst %.c,$(O)/%.o,$(sort $(filter-out tests/torch/test_%,$(wildcard tests/torch/*.c))))
C_FILES := $(sort $(shell find src include tests -name '*.[ch]' -o -name '*.cpp'))

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

.PHONY: all help torch torch-tests deps deps-test deps-bench run test test-unit test-network test-faults test-arm64 test-debian13 demo-model fuzz fuzz-programs load bench bench-peers bench-quality bench-scale bench-tools bench-train image push lint format clean install FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS:%=$(B)/bin/dcnv2-%) $(B)/lib/libdcnv2.a ## build the programs and the library (the default)

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1\t\2/' | expand -t 20

torch: ## install libtorch, and build the plugin for several machines and --backend torch
	$(Q)deploy/local/install.sh build torch
	$(Q)$(MAKE) --no-print-directory $(B)/lib/dcnv2_torch.so

torch-tests: $(TORCH_TESTS)

run: deps ## install what is missing, build, serve the demo model, show two requests (HTTP_PORT=8080)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)HTTP_PORT=$(HTTP_PORT) deploy/local/run.sh $(B)/bin/dcnv2-server

test: deps-test ## install what is missing and run every test
	$(Q)python3 tests/run.py

test-unit: $(UNIT_TESTS) ## build and run the unit tests alone (SANITIZER= as you like)
	$(Q)python3 tests/run.py --programs $(UNIT_TESTS)

test-network: deps-test ## the tests through networks that delay, lose and reorder (as root), as in make test
	$(Q)python3 tests/run.py --only network

test-faults: deps-test ## the tests with calls on sockets that fail by a seed (SEEDS=20 for each; make test has 4)
	$(Q)DCNV2_TEST_SEEDS=$(SEEDS) python3 tests/run.py --only faults

test-arm64: ## build for arm64, check its kernels under qemu, and its scores' bits beside this machine's
	$(Q)tests/arm64/run.sh

test-debian13: ## build and test in a Debian 13, made of this machine's mirror below build/debian13 (root)
	$(Q)tests/debian13/run.sh

# The first folder takes what is found to be new; what ends a target stands beside it.
fuzz: ## fuzz the readers of hostile bytes, with clang (FUZZ_SECONDS=60 each, FUZZ_TARGETS="http v1")
	$(Q)deploy/local/install.sh build fuzz
	$(Q)$(MAKE) --no-print-directory CC=clang B=build/fuzz SANITIZER=fuzzer-no-link,address,undefined fuzz-programs
	$(Q)for name in $(FUZZ_TARGETS); do mkdir -p build/fuzz/found/$$name && \
	    build/fuzz/tests/fuzz/fuzz_$$name -max_total_time=$(or $(FUZZ_SECONDS),60) -max_len=20000 -timeout=20 \
	        -artifact_prefix=build/fuzz/$$name- build/fuzz/found/$$name tests/fuzz/corpus/$$name || exit 1; done

fuzz-programs: $(FUZZ_PROGRAMS)

load: deps-test all ## load the local server with hey for 30 s, 30 connections (LOAD_SECONDS=30)
	$(Q)LOAD_SECONDS=$${LOAD_SECONDS:-30} deploy/local/load.sh $(B)/bin/dcnv2-server

bench: deps-bench all bench-tools ## measure the server beside its peers and its goals, in one table
	$(Q)python3 tests/bench/bench.py

bench-peers: deps-bench ## install the Python peers from PyPI below build/, then bench
	$(Q)python3 tests/pypi.py venv-peers tests/bench/requirements.txt
	$(Q)$(MAKE) --no-print-directory bench

bench-quality: deps-bench all ## train beside the notebook's Python from the same rows, and compare AUC and log loss
	$(Q)python3 tests/bench/quality.py

bench-scale: deps-bench ## train on 5 million generated rows: memory, reading beside the disk, scoring beside the server
	$(Q)$(MAKE) --no-print-directory all bench-tools
	$(Q)python3 tests/bench/scale.py

bench-train: deps-bench all $(B)/bench/train_speed ## measure training beside PyTorch, in one table
	$(Q)python3 tests/bench/train.py

bench-tools: $(B)/bench/fixed_reply $(B)/bench/load_client $(B)/bench/click_log $(B)/tests/kernels

image: ## build the images of server, tools and trainer (IMAGE=dcnv2-server:0.1.0, TARGETS=server)
	$(Q)deploy/image/build.sh $(TARGETS)

push: ## build the images and push them (IMAGE=docker.io/YOU/dcnv2-server:0.1.0, TARGETS=server)
	$(Q)deploy/image/push.sh $(TARGETS)

demo-model: deps ## train the demo model again from model/train.csv, into build/demo-model
	$(Q)$(MAKE) --no-print-directory all
	$(Q)deploy/local/demo_model.sh $(B)/bin

include deploy/steps.mk

lint: ## check format, layering, warnings as errors
	$(Q)clang-format --dry-run -Werror $(C_FILES)
	$(Q)tests/lint.sh
	$(Q)$(MAKE) --no-print-directory WERROR=1 B=build/lint all

format: ## format the C files
	$(Q)clang-format -i $(C_FILES)

deps: ## install the packages that building needs (Debian, Ubuntu)
	$(Q)deploy/local/install.sh build

deps-test: ## install the packages that testing needs
	$(Q)deploy/local/install.sh build test

deps-bench: ## install the packages that benchmarks need
	$(Q)deploy/local/install.sh build bench

install: all ## install programs, libdcnv2.a, dcnv2.h and dcnv2.pc below PREFIX (/usr/local), with DESTDIR
	for program in $(PROGRAMS); do \
	    install -D -m 755 $(B)/bin/dcnv2-$$program $(DESTDIR)$(PREFIX)/bin/dcnv2-$$program || exit 1; done
	install -D -m 644 $(B)/lib/libdcnv2.a $(DESTDIR)$(PREFIX)/lib/libdcnv2.a
	! [ -e $(B)/lib/dcnv2_torch.so ] || install -D -m 755 $(B)/lib/dcnv2_torch.so $(DESTDIR)$(PREFIX)/lib/dcnv2_torch.so
	install -D -m 644 include/dcnv2.h $(DESTDIR)$(PREFIX)/include/dcnv2.h
	sed 's|@prefix@|$(PREFIX)|; s|@packages@|$(LIBRARY_PACKAGES)|; s|@version@|'"$$(sed -n 's/#define DCNV2_VERSION "\(.*\)"/\1/p' include/dcnv2.h)"'|' \
	    include/dcnv2.pc.in > $(O)/dcnv2.pc
	install -D -m 644 $(O)/dcnv2.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/dcnv2.pc

clean: ## remove build/
	rm -rf build

# Objects depend on a file that changes with the flags: objects of different flags never mix.
$(O)/flags: FORCE
	$(if $(MISSING),$(error pkg-config does not find $(MISSING): make deps installs all that building needs (Debian, Ubuntu)))
	$(Q)mkdir -p $(@D)
	$(Q)printf '%s\n' '$(CC) $(C_FLAGS) $(LINK_FLAGS)' | cmp -s - $@ || printf '%s\n' '$(CC) $(C_FLAGS) $(LINK_FLAGS)' > $@

$(O)/kernels/%.o: SPEED := $(if $(SANITIZER),,-O3)
ifeq ($(MACHINE),x86_64)
$(O)/kernels/avx2.o $(O)/kernels/%_avx2.o: INSTRUCTION_SET := -mavx2 -mfma -DKERNEL_SET=avx2
$(O)/kernels/avx512.o $(O)/kernels/%_avx512.o: INSTRUCTION_SET := -mavx512f -mavx2 -mfma -DKERNEL_SET=avx512
endif
# Nobody reads the flags of floating point exceptions: both sides of a choice may be computed.
$(O)/kernels/vectorised%o: SPEED := $(if $(SANITIZER),,-O3) -fno-trapping-math

# The trainer's kernels: one source, compiled for each instruction set. Products may be fused.
$(O)/native/adam_kernels%o: SPEED := $(if $(SANITIZER),,-O3) -Wno-psabi
$(O)/native/gradient_kernels%o: SPEED := $(if $(SANITIZER),,-O3) -Wno-psabi -ffp-contract=fast
$(O)/native/%_avx2.o: INSTRUCTION_SET := -mavx2 -mfma -DTRAIN_SET=avx2
$(O)/native/%_avx512.o: INSTRUCTION_SET := -mavx512f -mavx2 -mfma -DTRAIN_SET=avx512

define compile
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) $(SPEED) $(INSTRUCTION_SET) -MMD -MP -c $< -o $@
endef
$(O)/%_avx2.o: src/%.c $(O)/flags
	$(compile)
$(O)/%_avx512.o: src/%.c $(O)/flags
	$(compile)
$(O)/%.o: src/%.c $(O)/flags
	$(compile)

$(B)/bin/dcnv2-server: $(OBJECTS)
$(filter-out %-server,$(PROGRAMS:%=$(B)/bin/dcnv2-%)): $(B)/bin/dcnv2-%: $(O)/tools/%.o $(O)/all.a
$(PROGRAMS:%=$(B)/bin/dcnv2-%):
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) $^ $(LIBS) -o $@

# Everything but the main functions: the linker takes the objects that a program or the library needs.
$(O)/all.a: $(filter-out $(O)/main.o $(PROGRAMS:%=$(O)/tools/%.o),$(OBJECTS) $(TRAIN_OBJECTS) $(TOOL_OBJECTS))
	$(Q)rm -f $@ && $(AR) qcs $@ $^

# One object: the functions of the header and all that these need. Only their names are visible.
PUBLIC := $(sort $(shell sed -n 's/^DCNV2_API [a-z0-9_ *]*[ *]\(dcnv2_[a-z_]*\)[^a-z_ ].*/\1/p' include/dcnv2.h))
$(B)/lib/libdcnv2.a: $(O)/all.a include/dcnv2.h
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -r -nostdlib $(PUBLIC:%=-Wl,-u,%) $< -o $(O)/libdcnv2.o
	$(Q)$(OBJCOPY) --localize-hidden $(O)/libdcnv2.o
	$(Q)rm -f $@ && $(AR) rcs $@ $(O)/libdcnv2.o

$(B)/bench/train_speed: $(O)/all.a
$(B)/bench/fixed_reply: LIBS += $(shell $(PKG_CONFIG) --libs libmicrohttpd)
$(B)/bench/%: tests/bench/%.c $(O)/flags
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) $(LINK_FLAGS) $(filter %.c %.a,$^) $(LIBS) -o $@

# Debian's headers declare Gloo's group only with this. Others: TORCH_CXXFLAGS=-I.. TORCH_LIBS=-L..
TORCH_CXXFLAGS ?= -isystem /usr/include/torch/csrc/api/include
TORCH_LIBS ?= -ltorch -ltorch_cpu -lc10
$(B)/lib/dcnv2_torch.so: src/torch/torch_shim.cpp src/torch/torch_plugin.h
	$(call say,C++,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 -O2 -g -fPIC -shared -fvisibility=hidden -Isrc -Wall -Wextra -Wshadow \
	    $(if $(WERROR),-Werror) -DUSE_C10D_GLOO $(TORCH_CXXFLAGS) $(CXXFLAGS) $< $(LDFLAGS) \
	    -Wl,-z,relro,-z,now,--as-needed $(TORCH_LIBS) -o $@

$(O)/tests/%.o: tests/%.c $(O)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -Itests/unit -MMD -MP -c $< -o $@

$(B)/tests/%: tests/%.c $(UNIT_HELPERS) $(TEST_OBJECTS)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -Itests/unit -MMD -MP -MF $@.d $(LINK_FLAGS) $< $(filter %.o,$^) $(LIBS) -o $@

# What disturbs a connection: built without sanitizers, for servers of any build.
build/tests/network/shuttle: $(wildcard tests/network/*.[ch])
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wshadow $(if $(WERROR),-Werror) $(filter %.c,$^) -o $@
build/tests/faults/faults.so: $(wildcard tests/faults/*.[ch])
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -fPIC -shared -fvisibility=hidden -Wall -Wextra -Wshadow \
	    $(if $(WERROR),-Werror) $(filter %.c,$^) -ldl -o $@

$(TORCH_TESTS): $(TORCH_HELPERS)
# libtorch's side of the random specs: built without sanitizers, for tests of any build.
build/lib/spec_reference.so: tests/torch/spec_reference.cpp tests/torch/spec_reference.h $(wildcard src/network/*.h src/model/network.h)
	$(call say,C++,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 -O1 -g -fPIC -shared -fvisibility=hidden -Isrc -Iinclude -Wall -Wextra -Wshadow \
	    $(if $(WERROR),-Werror) $(TORCH_CXXFLAGS) $(CXXFLAGS) $< $(LDFLAGS) -Wl,--as-needed $(TORCH_LIBS) -o $@
$(B)/tests/torch/test_random_spec: | build/lib/spec_reference.so
ifdef SANITIZER
$(filter $(O)/kernels/% $(O)/native/% $(O)/data/%,$(OBJECTS) $(TRAIN_OBJECTS)): private C_FLAGS += -O2
endif
# Vectors as arguments of functions that are all inline.
$(B)/tests/unit/native/test_gradient_kernels: private C_FLAGS += -Wno-psabi

# With libFuzzer or, where the compiler has none, with a main() that reads the corpus.
$(FUZZ_PROGRAMS): $(B)/tests/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(O)/tests/unit/format/build.o $(if $(findstring fuzzer,$(SANITIZER)),,$(O)/tests/fuzz/replay.o) $(filter-out $(O)/main.o,$(OBJECTS))
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -Itests/unit -MMD -MP -MF $@.d $(LINK_FLAGS) $(if $(findstring fuzzer,$(SANITIZER)),-fsanitize=fuzzer) \
	    $< $(filter %.o,$^) $(LIBS) -o $@

$(B)/tests/kernels: $(KERNELS_TEST) $(filter-out $(O)/main.o,$(OBJECTS))
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) $^ $(LIBS) -o $@

-include $(OBJECTS:.o=.d) $(TOOL_OBJECTS:.o=.d) $(TRAIN_OBJECTS:.o=.d) $(UNIT_HELPERS:.o=.d) $(KERNELS_TEST:.o=.d) $(UNIT_TESTS:=.d) $(FUZZ_PROGRAMS:=.d) $(O)/tests/fuzz/replay.d $(TORCH_HELPERS:.o=.d) $(TORCH_TESTS:=.d)
