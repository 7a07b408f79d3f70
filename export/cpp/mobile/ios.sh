#!/bin/sh
# Builds libmirrorkit for iPhones and for the simulator and puts both into an xcframework; on a Mac with Xcode:
#
#   mobile/ios.sh ORT_ROOT OUT.xcframework       # ORT_ROOT: a folder with ONNX Runtime's headers
#
# An app links it, libc++ and onnxruntime.xcframework (CocoaPods: onnxruntime-c): here ONNX Runtime is not loaded at run
# time, it is found when the app is linked.
set -eu
[ "$#" -eq 2 ] || { sed -n '2,7p' "$0" | cut -c3- >&2; exit 2; }
headers=$(cd "$1" && pwd) here=$(cd "$(dirname "$0")/.." && pwd)
for preset in ios ios-simulator; do
  cmake -S "$here" --preset "$preset" -DORT_ROOT="$headers"
  cmake --build "$here/build/$preset"
done
xcodebuild -create-xcframework -library "$here/build/ios/libmirrorkit.a" -headers "$here/include" \
  -library "$here/build/ios-simulator/libmirrorkit.a" -headers "$here/include" -output "$2"
