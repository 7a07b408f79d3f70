#include "splitting.hpp"

namespace mk {

Behavior read_behavior(const std::string& value, const std::string& name) {
  if (value == "Removed") return Behavior::removed;
  if (value == "Isolated") return Behavior::isolated;
  if (value == "Contiguous") return Behavior::contiguous;
  if (value == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (value == "MergedWithNext") return Behavior::merged_with_next;
  unsupported(name + ": the behavior " + value + " is not known to this library");
}

}  // namespace mk
