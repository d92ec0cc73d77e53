# Shows the incident in the sample lake, on a copy of it in build/demo. Runs in the repository's root.
set -eu
unset REPLAY_HOME

show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

rm -rf build/demo
mkdir -p build
cp -R data/samples/lake build/demo

show .venv/bin/replay status
