// Which further files a graph makes ONNX Runtime open. Some of its releases follow such a name wherever it leads.
#pragma once

#include <filesystem>

namespace mk {

// Throws for a graph whose weights lie in a file outside its own folder, that runs a ready-made binary, or that is no
// ONNX file. Reads the names alone: weights are skipped over.
void check_graph_paths(const std::filesystem::path& graph);

}  // namespace mk
