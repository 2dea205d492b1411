#!/bin/sh
# Compares the program's numbers with those of the original programs, step by step, and writes docs/fidelity.md.
#
#     tests/fidelity/run.sh                               against neuropythy and Pillow, which pip has
#     tests/fidelity/run.sh --original FOLDER             and against the study's own code, a checkout of
#                                                         github.com/noahbenson/visual-autolabel
#     tests/fidelity/run.sh --original FOLDER --write     and writes the document, if every comparison passed
#
# Needs Python 3.11 or later with pip and venv, and about 450 MB below .tools/; with --original PyTorch too, which is 4 GB
# with its CUDA libraries. FIDELITY_TORCH=FOLDER names a folder of packages that has torch 2.11 already (the site-packages
# of another environment of the same Python); then nothing of it is fetched.
set -eu
folder=$(pwd)
cd "$(dirname "$0")/../.."

fail() {
    echo "error: $1" >&2
    exit 3
}

original=
write=
while [ $# -gt 0 ]; do
    case $1 in
    --original)
        [ $# -ge 2 ] || fail "--original needs a folder: a checkout of github.com/noahbenson/visual-autolabel"
        original=$(cd "$folder" && cd "$2" 2>/dev/null && pwd) || fail "there is no folder \`$2\`"
        shift 2
        ;;
    --write)
        write=yes
        shift
        ;;
    *) fail "unknown option \`$1\`; there are --original FOLDER and --write" ;;
    esac
done
[ -z "$write" ] || [ -n "$original" ] || fail "--write needs --original FOLDER: without it most steps have no numbers"

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "the original packages need Python 3.11 or later; name one with PYTHON=python3.12"
[ -z "$original" ] || "$python" tests/fidelity/original.py "$original" || exit 3

# The environment is named by what is in it, and marked complete at the very end.
tools=.tools/fidelity
requirements=tests/fidelity/requirements.txt
[ -z "$original" ] || requirements="$requirements tests/fidelity/requirements-study.txt"
[ -z "$original" ] || [ -n "${FIDELITY_TORCH:-}" ] || requirements="$requirements tests/fidelity/requirements-torch.txt"
# shellcheck disable=SC2086 # several files
wanted="$(cat $requirements | cksum | cut -d' ' -f1) ${FIDELITY_TORCH:-}"
if [ "$(cat "$tools/complete" 2>/dev/null)" != "$wanted" ]; then
    echo "making a Python environment with the original packages in $tools" >&2
    rm -rf "$tools"
    mkdir -p "$tools"
    "$python" -m venv "$tools/venv" || fail "python has no venv; on Debian and Ubuntu: apt-get install python3-venv"
    for file in $requirements; do
        "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$file" ||
            fail "pip could not install the packages of $file"
    done
    packages=$("$tools/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    [ -z "${FIDELITY_TORCH:-}" ] || echo "$FIDELITY_TORCH" >"$packages/torch-elsewhere.pth"
    [ -z "$original" ] || "$tools/venv/bin/python" -c 'import torch; assert torch.__version__.startswith("2.11."), torch.__version__' ||
        fail "the environment has no torch 2.11; see FIDELITY_TORCH at the top of tests/fidelity/run.sh"
    echo "$wanted" >"$tools/complete"
fi

packages=$("$tools/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -rf "$tools/ours" "$tools/records.jsonl"
scripts/libtorch cargo build --release --quiet --locked --workspace --example fidelity --example fidelity-networks
examples=${CARGO_TARGET_DIR:-target}/release/examples
cells=$PWD/$tools/cells
if [ -n "$original" ]; then
    # Options and plans of the grid search are those that the original's own script writes, into the current folder.
    grid=$original/benson2025/hyperparameters
    rm -rf "$cells"
    mkdir -p "$cells"
    (cd "$cells" && "$python" "$grid/scripts/gen-gridparams.py" "$grid/grid-params.json")
fi
"$examples/fidelity" "$packages/nilearn/datasets/data/fsaverage5" "$packages/neuropythy/lib/data" "$tools/ours" \
    ${original:+"$original/benson2025/training-regimes/plans" "$cells"}
status=0
"$tools/venv/bin/python" tests/fidelity/compare.py "$tools/ours" "$tools/records.jsonl" || status=1
if [ -n "$original" ]; then
    LD_LIBRARY_PATH=$(scripts/libtorch)/lib "$examples/fidelity-networks" "$tools/ours"
    "$tools/venv/bin/python" tests/fidelity/study.py "$original" "$tools/ours" "$tools/records.jsonl" || status=1
fi
if [ $status -ne 0 ]; then
    echo "the program and the originals disagree: see the lines that begin with FAIL"
    exit 1
fi
echo "the program and the originals agree"
# Gigabytes of weights and gradients; what failed is kept to be looked at.
rm -rf "$tools/ours" "$cells"
[ -z "$write" ] || exec "$tools/venv/bin/python" tests/fidelity/document.py write "$tools/records.jsonl"
