# The front door. `make` lists what there is; every target only calls a program in one of the five folders.

.DEFAULT_GOAL := help
PYTHON ?= python3
JOBS ?= auto

# Options: `make sim PROMPT=ka` passes `--prompt=ka`. An option that is not given is not passed. Behind the # stands what
# `make help` says.
option.MODEL       := --model        # preset: microgpt, ailang; stories15m, smollm2 (or models like them from files); default microgpt, for image smollm2
option.CHECKPOINT  := --checkpoint   # weights from this file instead of the preset's own
option.NAMES       := --names        # how many names (texts); default 20, for large models, wave and chat 1, for gatesim 2, for accuracy 1000
option.TOKENS      := --tokens       # how many tokens of a text at most; default: the model's context, or 32 if it has none
option.START       := --start        # tokens of the prompt that are not simulated: their keys and values are put into the external memory before; default 0
option.PROMPT      := --prompt       # text to go on from; default empty, for chat what is typed
option.TEMPERATURE := --temperature  # 0 (greedy) or 1/64 to 8; default 0.5
option.SEED        := --seed         # same seed, same result: 0 to 4294967295; default 42
option.ENGINE      := --engine       # verilator, icarus, amaranth; default verilator
option.NUMBERS     := --numbers      # activations: fixed, block (without GELU); default fixed, or block where the model needs it
option.SCALES      := --scales       # weights that share a scale: matrix (a power of two), row (8 bits), group (4 bits, of 32); default matrix, for large models of the llama family group where the file has such, else row
option.CACHE_BITS  := --cache-bits   # width of cached keys and values: 8 (with scales of rows or groups), 16; default 16
option.SCHEDULE    := --schedule     # folded: one layer datapath, pipelined: one a layer, serial: one unit for everything, external: weights, keys and values in an external memory; default folded, or external with scales of rows or groups, for bitstream as fits
option.MULTIPLIERS := --multipliers  # multipliers that the schedule may use, up to 16384; default 64
option.LANES       := --lanes        # elements of a beat, at most: a power of two up to 1024; default: as the schedule chooses
option.STREAMS     := --streams      # sequences in flight at once, up to 1024; default 1
option.WEIGHTS     := --weights      # where weights come from: rom, wires, stream; default rom
option.TRACE       := --trace        # waveform: vcd, fst; sim writes its first 4000 cycles; default: none, for wave fst (amaranth: vcd)
option.TAPS        := --taps         # write every compared value to this .npz file; default: none
option.FROM        := --from         # first cycle to show; default 0
option.CYCLES      := --cycles       # how many cycles to show; default: three tokens
option.DATA        := --data         # text file, one name a line; default: the names in golden/data
option.STEPS       := --steps        # training steps; default 20000
option.FAMILY      := --family       # chips: xc7, ecp5, ice40, gowin; default xc7
option.BOARD       := --board        # arty, arty-100, ulx3s, ulx3s-45, ulx3s-25, ulx3s-12, orangecrab, orangecrab-85, icebreaker, tangnano9k; default arty, for chat a simulated chip
option.PORT        := --port         # serial port of a board; default: that of its USB chip. Else bits of an external memory's port: 16, 32, 64 or 128; default: the memory's own
option.CLOCK       := --clock        # clock of the gateware on a board, in MHz; default: as `make boards` lists it
option.TOOLCHAIN   := --toolchain    # what makes bitstreams: open, vivado; default open
option.FILE        := --file         # the weight image, as `make image` writes it
option.MEMORY      := --memory       # whose external memory: arty, ulx3s; default arty, for memory all
option.CONTROLLER  := --controller   # model of that memory: fast, litedram (its own controller, the same cycles); default fast
option.CONTEXT     := --context      # longest sequence, in tokens; default: the model's, with rotary positions at most 2048
option.WINDOW      := --window       # attention sees so many last positions, and a text has no end; default: all of them
option.OUTPUT      := --output       # file to write; default: in build/, for results docs/results.md, for train build/train/microgpt.* or build/train/<name of DATA>.*

machine := NUMBERS SCALES CACHE_BITS MULTIPLIERS LANES STREAMS SCHEDULE WEIGHTS MEMORY CONTROLLER PORT CONTEXT WINDOW
text    := PROMPT NAMES TOKENS TEMPERATURE SEED

options.sim      := MODEL CHECKPOINT $(text) START ENGINE $(machine) TRACE TAPS
options.wave     := MODEL CHECKPOINT $(text) ENGINE $(machine) TRACE FROM CYCLES OUTPUT
options.verilog  := MODEL CHECKPOINT $(machine) OUTPUT
options.count    := MODEL CHECKPOINT $(machine) FAMILY OUTPUT
options.bitstream := BOARD MODEL CHECKPOINT NUMBERS SCALES CACHE_BITS CONTEXT WINDOW SCHEDULE MULTIPLIERS LANES CLOCK SEED TOOLCHAIN
options.gatesim  := BOARD MODEL CHECKPOINT NUMBERS SCHEDULE MULTIPLIERS LANES CLOCK $(text)
options.boards   := MODEL
options.program  := BOARD MODEL
options.load     := BOARD PORT FILE
options.chat     := BOARD PORT MODEL CHECKPOINT NUMBERS SCALES CACHE_BITS MULTIPLIERS LANES SCHEDULE MEMORY CONTEXT WINDOW $(text)
options.image    := MODEL CHECKPOINT PORT SCALES CACHE_BITS CONTEXT WINDOW OUTPUT
options.image-info := FILE
options.results  := OUTPUT
options.memory   := MEMORY
options.train    := DATA STEPS SEED OUTPUT
options.accuracy := MODEL CHECKPOINT NUMBERS SCALES CACHE_BITS NAMES DATA OUTPUT
options.graph    := MODEL CHECKPOINT NUMBERS SCALES CACHE_BITS CONTEXT WINDOW MULTIPLIERS STREAMS SCHEDULE OUTPUT

# These may be given to any target.
common := ARGS PYTHON JOBS CXX WEFT_CACHE

##@ Simulate
sim: setup ## simulate a model, compare every value with the integer model, write build/sim/<model>/report.json
	$(call cli,sim run)
wave: setup ## write a waveform, a GTKWave view and the timeline of the units
	$(call cli,sim wave)
verilog: setup ## write the core as Verilog with AXI4-Stream ports
	$(call cli,sim verilog)
results: setup ## measure performance, correctness and scaling, and write docs/results.md
	$(call cli,sim results)
memory: setup ## compare the fast model of a board's external memory with LiteDRAM's controller, in cycles
	$(call cli,sim memory)

##@ Build
count: setup ## count the DSP blocks, look-up tables, registers and memories that synthesis makes of the core
	$(call cli,boards count)
boards: setup ## list the boards, and what fits on each
	$(call cli,boards boards)
bitstream: setup ## make a bitstream for a board; sets the tools up on first use; writes build/boards/<board>/<model>
	$(call cli,boards bitstream)

gatesim: setup ## simulate a board's netlist at its pins against the integer model; writes build/gatesim/<board>/<model>
	$(call cli,boards gatesim)
program: setup ## load the last bitstream into a board; sets openFPGALoader up on first use
	$(call cli,boards program)
load: setup ## put a weight image into the memory behind a board's chip, and verify it; run again, it goes on
	$(call cli,boards load)
chat: setup ## talk to a board over its serial port; without BOARD and PORT, to a simulated chip through its UART
	$(call cli,boards chat)

##@ Models
train: setup ## train microgpt on a list of names; writes a checkpoint and its loss curve
	$(call cli,golden train)
accuracy: setup ## measure the integer model against the float model
	$(call cli,golden accuracy)
image: setup ## write a model's weights as an external memory holds them, with a header and checks; see docs/image.md
	$(call cli,sim image)
image-info: setup ## show what a weight image holds, what a token of it costs in bandwidth, and whether its bits are right
	$(call cli,sim image-info)
graph: setup ## draw a model's stages, formats, units and cycles, and the datapath
	$(call cli,golden graph)

##@ Check
test: setup ## run the tests, on all cores; ARGS="-k softmax" chooses
	@$(run) -m pytest $(pytest) -m "not slow and not boards and not models" $(ARGS)
test-slow: setup ## run the long tests that `make test` leaves out
	@$(run) -m pytest $(pytest) -m slow $(ARGS)
test-boards: setup ## make a small bitstream for every board, and check it; sets the tools up on first use
	@$(run) -m pytest -m boards $(ARGS)
test-models: setup ## test published models, which are fetched on first use (205 MB)
	@$(run) -m pytest -m models $(ARGS)
coverage: setup ## run the tests of golden/ and hdl/, and demand that they reach 95 % of their lines
	@rm -rf build/cache/sim # a design that is found there is not elaborated, and what makes it not counted
	@$(run) -m pytest $(pytest) -m "not slow and not boards and not models" $(simulators:%=--ignore=tests/test_%.py) --cov --cov-report=term $(ARGS)
lint: setup ## check style, and that imports run golden <- hdl <- sim <- boards
	@$(run) -m ruff check $(ARGS) .
	@$(run) -m ruff format --check .
	@$(run) -m sim.setup.imports
format: setup ## put the code in its one format
	@$(run) -m ruff check --fix-only --quiet .
	@$(run) -m ruff format .

##@ House
setup: ## install what is needed into .venv and .tools (every target does this by itself)
	@command -v $(PYTHON) > /dev/null || { echo "weft: $(PYTHON) is missing: install Python 3.11 or newer" >&2; exit 2; }
	@$(clean_env) $(PYTHON) -m sim.setup
doctor: ## show what is installed, what is missing and how to get it
	@$(clean_env) $$(command -v .venv/bin/python || command -v $(PYTHON)) -m sim.doctor
lock: ## write requirements*.txt anew from pyproject.toml, with hashes
	@$(clean_env) PYTHON=$(PYTHON) sh sim/setup/lock.sh
clean: ## remove what was built
	rm -rf build .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
distclean: clean ## remove what was installed as well
	rm -rf .venv .tools
help: ## list the targets and their options
	@awk -f sim/setup/help.awk $(firstword $(MAKEFILE_LIST))

# --- how it works ---------------------------------------------------------------------------------------------------

# Commands run without make's own variables: Verilator's and cocotb's makefiles must not inherit them.
clean_env := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES PYTHONHASHSEED=0
run       := $(clean_env) .venv/bin/python
pytest     = -n $(JOBS) --maxprocesses=8 --dist=worksteal

# Tests that run whole simulations: they reach golden/ and hdl/ too, but mostly through the build cache.
simulators := bench cocotb compare core core_shapes engines memory_models results session setup stream_weights synthesis tools wave

# $(call cli,sim run): the target's options follow. $(value) keeps a `$` in them, the quotes keep all the rest. An empty
# one is passed if it was typed. WEFT_MAKE lets the program call options as they were typed here.
cli    = @WEFT_MAKE='$@ $(options.$@)' $(run) -m $(1) $(foreach name,$(options.$@),$(call given,$(name))) $(ARGS)
given  = $(if $(call typed,$(1))$(strip $(value $(1))),$(firstword $(option.$(1)))='$(subst ','\'',$(value $(1)))')
typed  = $(filter command,$(firstword $(origin $(1))))

names := $(patsubst option.%,%,$(filter option.%,$(.VARIABLES)))
unexport $(names)

# A variable that the targets do not take is a mistake (NAME for NAMES), and is not passed over in silence.
goals   := $(or $(MAKECMDGOALS),help)
takes   := $(foreach goal,$(goals),$(options.$(goal)))
present := $(foreach name,$(.VARIABLES),$(if $(call typed,$(name)),$(name)))
strange := $(filter-out $(takes) $(common) MAKEFLAGS MAKEOVERRIDES -*-%,$(present))
ifneq ($(strange),)
$(error weft: `make $(goals)` takes no $(firstword $(strange)); it takes $(strip $(takes) ARGS); `make help` tells more)
endif

.PHONY: accuracy bitstream boards chat clean count coverage distclean doctor format gatesim graph help image image-info lint load lock memory program results setup sim test test-boards test-models test-slow train verilog wave
.NOTPARALLEL:
