// Encoder layers of an int8 graph as operators of libmirrorkit_ops, where MIRRORKIT_OPS names that library.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "session.hpp"

namespace mk {

struct Rewritten {
  std::string graph;
  std::filesystem::path library;
};

// The graph with its layers as operators; none where no library is named or no layer found. Throws for a library that
// cannot be used. The library stays loaded to the end of the process.
std::optional<Rewritten> rewritten(const File& graph, const Log& log);

}  // namespace mk
