// verdicts PATH...: for each folder's mirrorkit.json, or each graph, what was
// wrong with it, or nothing, and a zero.
#include <filesystem>
#include <iostream>

#include "bundle.hpp"
#include "error.hpp"
#include "graph_paths.hpp"

int main(int count, char **paths) {
  for (int i = 1; i < count; ++i) {
    try {
      if (std::filesystem::is_directory(paths[i])) {
        const mk::Bundle bundle(paths[i]);
      } else {
        mk::check_graph_paths(paths[i]);
      }
    } catch (const mk::Error &error) {
      std::cout << error.what();
    }
    std::cout << '\0';
  }
}
