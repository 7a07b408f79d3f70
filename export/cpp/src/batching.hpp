// Which texts go through the model together.
#pragma once

#include <cstddef>
#include <vector>

namespace mk {

// Returns the numbers of the texts in batches of about one length, longest first, each of at most `budget` tokens with
// padding (one text at the least): the cheapest cut of the texts sorted by length, as the Python runtime makes it.
std::vector<std::vector<std::size_t>> batches(const std::vector<std::size_t>& lengths, std::size_t budget);

}  // namespace mk
