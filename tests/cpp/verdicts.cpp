// verdicts PATH...: for each folder's mirrorkit.json, packed bundle, or graph (.onnx, .ort), what was wrong with it, or
// nothing, and a zero.
#include <filesystem>
#include <iostream>

#include "bundle.hpp"
#include "error.hpp"
#include "graph_paths.hpp"

int main(int count, char **paths) {
  for (int i = 1; i < count; ++i) {
    try {
      const std::string extension = std::filesystem::path(paths[i]).extension().string();
      if (extension == ".onnx" || extension == ".ort") {
        mk::check_graph_paths(paths[i]);
      } else {
        const mk::Bundle bundle(mk::open_files(paths[i]));
      }
    } catch (const mk::Error &error) {
      std::cout << error.what();
    }
    std::cout << '\0';
  }
}
