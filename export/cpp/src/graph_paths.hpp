// Which further files a graph makes ONNX Runtime open. Some of its releases follow such a name wherever it leads.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace mk {

// Throws for a graph whose weights lie in a file outside its own folder, that runs a ready-made binary, or that is no
// ONNX file. Reads the names alone: weights are skipped over.
void check_graph_paths(const std::filesystem::path& graph);

// The same of a graph in memory, which errors call `name`; returns the names of the files that its weights are in, for
// the caller to hand over. Throws where weights that ONNX Runtime would look for on the disk are in one.
std::vector<std::string> graph_locations(std::string_view graph, const std::string& name);

}  // namespace mk
