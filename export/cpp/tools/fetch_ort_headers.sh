#!/bin/sh
# Puts the headers of ONNX Runtime (Debian's libonnxruntime-dev, from trixie where the running release has none) into a
# folder to give as ORT_ROOT. Needs apt; installs nothing.
set -eu
out=${1:-$(dirname "$0")/../build/onnxruntime}
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] http://deb.debian.org/debian trixie main" > "$work/sources.list"
cd "$work"
set -- -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/lists" \
  -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root -qq
apt-get "$@" update
apt-get "$@" download libonnxruntime-dev
dpkg -x libonnxruntime-dev_*.deb unpacked
rm -rf "$out/include"
mv unpacked/usr/include "$out/include"
echo "$out"
