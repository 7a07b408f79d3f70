# zig (pip install ziglang) as a cross compiler with a C library and libc++ for each of its targets, both in it:
#
#   ZIG_TARGET=x86_64-linux-musl cmake --preset zig -DZIG=$(python -c 'import ziglang; print(ziglang.__path__[0])')/zig
#
# Others: x86_64-linux-gnu.2.17 (a glibc that old), aarch64-linux-musl, x86_64-windows-gnu, aarch64-macos, x86_64-macos.
if(NOT ZIG_TARGET)
  set(ZIG_TARGET $ENV{ZIG_TARGET})
endif()
if(NOT ZIG)
  find_program(ZIG zig REQUIRED)
endif()
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ZIG ZIG_TARGET)

if(NOT ZIG_TARGET MATCHES "^([^-]+)-(linux|windows|macos)")
  message(FATAL_ERROR "ZIG_TARGET must be a target of zig's, like x86_64-linux-musl; it is '${ZIG_TARGET}'")
endif()
set(CMAKE_SYSTEM_PROCESSOR ${CMAKE_MATCH_1})
if(CMAKE_MATCH_2 STREQUAL "linux")
  set(CMAKE_SYSTEM_NAME Linux)
elseif(CMAKE_MATCH_2 STREQUAL "windows")
  set(CMAKE_SYSTEM_NAME Windows)
else()
  set(CMAKE_SYSTEM_NAME Darwin)
  set(CMAKE_OSX_SYSROOT "" CACHE STRING "zig has its own")
  set(CMAKE_INSTALL_NAME_TOOL ${CMAKE_COMMAND}) # looked for, not run: names are given when linking
endif()

set(CMAKE_C_COMPILER ${ZIG} cc -target ${ZIG_TARGET})
set(CMAKE_CXX_COMPILER ${ZIG} c++ -target ${ZIG_TARGET})
foreach(language C CXX)
  set(CMAKE_${language}_ARCHIVE_CREATE "\"${ZIG}\" ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
  set(CMAKE_${language}_ARCHIVE_FINISH "\"${ZIG}\" ranlib <TARGET>")
endforeach()
