# The JSON header (nlohmann) and the headers of ONNX Runtime: found, or the former fetched where that is asked for.
# Neither is needed by who uses the installed library.

add_library(mirrorkit_json INTERFACE)
find_package(nlohmann_json 3.9 QUIET)
if(nlohmann_json_FOUND)
  target_link_libraries(mirrorkit_json INTERFACE nlohmann_json::nlohmann_json)
elseif(MIRRORKIT_FETCH)
  include(FetchContent)
  FetchContent_Declare(nlohmann_json URL https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz
                       URL_HASH SHA256=d6c65aca6b1ed68e7a182f4757257b107ae403032760ed6ef121c9d55e81757d)
  FetchContent_MakeAvailable(nlohmann_json)
  target_link_libraries(mirrorkit_json INTERFACE nlohmann_json::nlohmann_json)
else()
  find_path(NLOHMANN_INCLUDE_DIR nlohmann/json.hpp)
  if(NOT NLOHMANN_INCLUDE_DIR)
    message(FATAL_ERROR "nlohmann/json.hpp not found: install nlohmann-json3-dev, set NLOHMANN_INCLUDE_DIR, "
                        "or fetch it with -DMIRRORKIT_FETCH=ON")
  endif()
  target_include_directories(mirrorkit_json SYSTEM INTERFACE ${NLOHMANN_INCLUDE_DIR})
endif()

if(NOT ORT_ROOT)
  find_package(onnxruntime QUIET CONFIG)
  if(onnxruntime_FOUND)
    get_target_property(ORT_CONFIG_DIRS onnxruntime::onnxruntime INTERFACE_INCLUDE_DIRECTORIES)
  endif()
endif()
find_path(ORT_INCLUDE_DIR onnxruntime_c_api.h HINTS ${ORT_ROOT} ${ORT_CONFIG_DIRS}
          PATH_SUFFIXES include include/onnxruntime include/onnxruntime/core/session onnxruntime)
if(NOT ORT_INCLUDE_DIR)
  message(FATAL_ERROR "onnxruntime_c_api.h not found: install libonnxruntime-dev, or set ORT_ROOT to the unpacked "
                      "release of ONNX Runtime (1.17 or later)")
endif()
if(MIRRORKIT_LINK_ONNXRUNTIME)
  find_library(ORT_LIBRARY onnxruntime HINTS ${ORT_ROOT} PATH_SUFFIXES lib)
  if(NOT ORT_LIBRARY)
    message(FATAL_ERROR "libonnxruntime not found: set ORT_ROOT, or build without MIRRORKIT_LINK_ONNXRUNTIME")
  endif()
endif()

# What a program in C has to link besides a static libmirrorkit.
set(MIRRORKIT_CXX_RUNTIME stdc++)
if("c++" IN_LIST CMAKE_CXX_IMPLICIT_LINK_LIBRARIES)
  set(MIRRORKIT_CXX_RUNTIME c++)
endif()
