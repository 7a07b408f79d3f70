// Any bytes as an ONNX graph: an Error, or nothing that the search for files of weights minds.

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "error.hpp"
#include "graph_paths.hpp"

namespace fs = std::filesystem;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto folder = fs::temp_directory_path() / ("mirrorkit-fuzz-" + std::to_string(getpid())) / "onnx";
  static const bool made = [] {
    fs::create_directories(folder);
    std::ofstream(folder / "data") << "weights";
    std::ofstream(folder.parent_path() / "data") << "a secret";
    std::error_code error;
    fs::create_symlink("../data", folder / "link", error);
    return !error;
  }();
  if (!made) std::abort();
  const auto graph = folder / "model.onnx";
  std::ofstream(graph, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  try {
    mk::check_graph_paths(graph);
  } catch (const mk::Error& error) {
    if (std::string(error.what()).size() > 1000) std::abort();  // it may quote the graph, but not all of it
  }
  try {  // the same in memory, where it must be as safe
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    for (const std::string& location : mk::graph_locations(bytes, "graph")) {
      if (location.find("_ORT_MEM_ADDR_") != std::string::npos) std::abort();
    }
  } catch (const mk::Error& error) {
    if (std::string(error.what()).size() > 1000) std::abort();
  }
  return 0;
}
