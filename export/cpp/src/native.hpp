// Encoder layers of an int8 graph as operators of libmirrorkit_ops, where MIRRORKIT_OPS names that library.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "ort.hpp"

namespace mk {

struct Rewritten {
  std::string graph, library;
};

// The graph with its layers as operators; none where no library is named or no layer found. Throws for a library that
// cannot be used. The library stays loaded to the end of the process.
std::optional<Rewritten> rewritten(const std::filesystem::path& graph, const Log& log);

}  // namespace mk
