// Any bytes as mirrorkit.json: an Error, or a bundle that names no file outside its folder.

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bundle.hpp"
#include "error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto folder = std::filesystem::temp_directory_path() / ("mirrorkit-fuzz-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "mirrorkit.json", std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  try {
    const mk::Bundle bundle(mk::open_files(folder.string()));
    const auto path = bundle.checked(bundle.choose("auto").file, true).path;
    const auto relative = std::filesystem::canonical(path).lexically_relative(std::filesystem::canonical(folder));
    if (*relative.begin() == "..") std::abort();
  } catch (const mk::Error&) {
  }
  return 0;
}
