# Builds, runs and checks the project. `./just` runs this file even where `just` is not installed.

target := env("CARGO_TARGET_DIR", justfile_directory() / "target")
pipe := target / "release/pipe"

# What checks leave out because this machine lacks something; `test` prints it at its end.
export PIPE_TEST_NOT_RUN := target / "not-run.txt"

# Lists the recipes.
_default:
    @{{ just_executable() }} --justfile {{ justfile() }} --list --unsorted

# Runs the paper's analysis on simulated subjects: from nothing to figures.
demo *options: build
    {{ pipe }} run pipelines/benson2025.yaml {{ options }}

# Format, lints, every test of the workspace, the shipped pipelines in every profile, the book.
test: _everything lint build plans book && data slow _not_run
    scripts/libtorch cargo test --release --workspace --locked -- --skip slow_

# The tests on real data that is not part of the project; part of `test`, which counts them as ignored without it.
data: _prerequisites
    #!/bin/sh
    set -eu
    data=${PIPE_TEST_DATA:-../shared/data}
    if [ ! -d "$data" ]; then
        echo "NOT RUN: the tests on real data (marked ignored), because there is no folder $data" | tee -a "$PIPE_TEST_NOT_RUN"
        exit
    fi
    export PIPE_TEST_DATA="$(cd "$data" && pwd)"
    # `victim` is started by another test and never alone.
    scripts/libtorch cargo test --release --workspace --locked --lib -- --ignored --skip exec::tests::victim

# The slow tests, part of `test`: same bytes for every user, and SIGKILL at 50 moments of a real run. One at a time.
slow: build
    scripts/libtorch cargo test --release --workspace --locked --test stories -- slow_ --test-threads=1 --nocapture

# What the server runs: `test`, the numbers of other programs (of networks not, since they take 2.7 GB of PyTorch), then the wheel, built and installed
# as a user would.
ci: test encoding-goldens (rsa-goldens "comparisons" "decoding" "dissimilarities" "pictures" "scaling" "weights") wheel wheel-test

# Builds `pipe` and its worker `pipe-torch`.
build: _prerequisites
    scripts/libtorch cargo build --release --locked -p pipe -p pipe-torch

# Format, spelling, dependencies, lints and the documentation of the code, warnings denied.
lint: _prerequisites
    cargo fmt --all --check
    scripts/tools typos
    scripts/tools cargo-shear --locked
    scripts/one-resolution
    scripts/deny
    scripts/libtorch cargo clippy --release --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="--deny warnings" scripts/libtorch cargo doc --release --workspace --locked --no-deps --document-private-items

# Checks the shipped pipelines in every profile, without running them.
plans: build
    for file in pipelines/*.yaml; do {{ pipe }} plan --all-profiles "$file" >/dev/null || exit; done

# Builds the book into target/book; broken links are errors.
book:
    scripts/book build

# Writes the pages of the book that are made from the program: reference, kinds, glossary, picture of the crates.
book-pages: build
    scripts/book pages

# Gets libtorch and prints its folder.
libtorch:
    @scripts/libtorch

# Compares our numbers with those of the original programs, and writes docs/fidelity.md (--original FOLDER --write).
fidelity *options: _prerequisites
    tests/fidelity/run.sh {{ options }}

# Recomputes with NumPy, scikit-learn, himalaya and pycortex what tests compare encoding models and flat maps with; under 4 minutes.
encoding-goldens *options: build
    scripts/encoding-goldens {{ options }}

# Recomputes with rsatoolbox, scikit-learn, Pillow and torchvision what tests compare RDMs and networks with.
rsa-goldens *options: build
    scripts/rsa-goldens {{ options }}

# Checks what the demo learns: the demo with three pipeline seeds and the swapped-anatomy control.
demo-seeds *options: build
    scripts/demo-seeds {{ options }}

# The engine's own cost, next to ninja and doit on the same graphs.
bench *options: build
    scripts/bench {{ options }}

# Training and prediction, in turn with PyTorch eager on the same processor; fetches torch whole (2.7 GB).
bench-train *options: _prerequisites
    scripts/bench-train {{ options }}

# Encoding models, in turn with himalaya on the same processor; their memory; flat maps.
bench-encoding *options: _prerequisites
    scripts/bench-encoding {{ options }}

# RDMs, crossnobis distances, layouts and AlexNet, in turn with NumPy, rsatoolbox, scikit-learn and PyTorch on the same processor.
bench-rsa *options: build
    scripts/bench-rsa {{ options }}

# Times the parts that the engine's cost is made of: plan, key, look-up, store, a projection.
bench-parts *options: _prerequisites
    scripts/libtorch cargo bench --profile release --workspace --locked --bench parts -- {{ options }}

# Builds one wheel with both programs, for machines without a checkout.
wheel *options: _prerequisites
    scripts/wheel {{ options }}

# Installs the wheel into a fresh environment and runs what ships; fetches torch (545 MB).
wheel-test *options:
    scripts/wheel-test {{ options }}

# The tests that need a CUDA device.
gpu: _prerequisites
    PIPE_TEST_DEVICE=cuda:0 scripts/libtorch cargo test --release --workspace --locked --test suite

_everything:
    @mkdir -p {{ target }}
    @: >"$PIPE_TEST_NOT_RUN"

_not_run:
    #!/bin/sh
    if [ -s "$PIPE_TEST_NOT_RUN" ]; then
        echo "what was run passed; not everything could be run on this machine:"
        sort -u "$PIPE_TEST_NOT_RUN"
    fi

_prerequisites:
    @scripts/prerequisites
