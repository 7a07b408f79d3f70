#!/bin/sh
# Builds libmirrorkit for every ABI of Android and packs them into an AAR that Gradle projects take in by prefab:
#
#   ANDROID_NDK_HOME=... mobile/android.sh HEADERS OUT.aar       # HEADERS: what ORT_ROOT is
#
# Gradle: implementation(files("OUT.aar")), buildFeatures { prefab = true }, and in CMakeLists.txt
# find_package(mirrorkit CONFIG REQUIRED). ONNX Runtime comes from its own AAR (com.microsoft.onnxruntime:
# onnxruntime-android), whose libonnxruntime.so the loader finds.
set -eu
[ "$#" -eq 2 ] || { sed -n '2,9p' "$0" | cut -c3- >&2; exit 2; }
[ -f "${ANDROID_NDK_HOME:?must name the NDK}/build/cmake/android.toolchain.cmake" ] || {
  echo "ANDROID_NDK_HOME $ANDROID_NDK_HOME: has no build/cmake/android.toolchain.cmake" >&2
  exit 2
}
headers=$(cd "$1" && pwd) here=$(cd "$(dirname "$0")/.." && pwd)
ndk=$(sed -n 's/^Pkg.Revision *= *\([0-9]*\).*/\1/p' "$ANDROID_NDK_HOME/source.properties")
libraries=''
for ANDROID_ABI in arm64-v8a armeabi-v7a x86_64 x86; do
  export ANDROID_ABI
  cmake -S "$here" --preset android -DORT_ROOT="$headers"
  cmake --build "$here/build/android-$ANDROID_ABI"
  libraries="$libraries $here/build/android-$ANDROID_ABI/libmirrorkit.so"
done
# shellcheck disable=SC2086 # a list, of paths that this script made
python3 "$here/mobile/aar.py" "$2" "$ndk" $libraries
