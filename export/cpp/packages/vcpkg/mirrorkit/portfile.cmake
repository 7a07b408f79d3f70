# The port builds the tree that it lies in: a checkout is an overlay,
#
#   vcpkg install mirrorkit --overlay-ports=export/cpp/packages/vcpkg
#   ORT_ROOT=FOLDER vcpkg install 'mirrorkit[core]' --overlay-ports=export/cpp/packages/vcpkg   # ONNX Runtime not built
#
# vcpkg takes note of changes to the port alone: after a change to the sources, remove the package first.
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

vcpkg_check_features(OUT_FEATURE_OPTIONS features FEATURES onnxruntime MIRRORKIT_LINK_ONNXRUNTIME)
if(NOT "onnxruntime" IN_LIST FEATURES AND DEFINED ENV{ORT_ROOT})
  list(APPEND features "-DORT_ROOT=$ENV{ORT_ROOT}")
endif()

vcpkg_cmake_configure(SOURCE_PATH "${SOURCE_PATH}" OPTIONS ${features} -DMIRRORKIT_BUILD_CLI=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/mirrorkit)
vcpkg_fixup_pkgconfig()
vcpkg_copy_pdbs()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE" "${SOURCE_PATH}/NOTICE.txt")
