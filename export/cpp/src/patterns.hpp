// The patterns that tokenizer files name. Those of the most common tokenizers have a matcher each, which is faster than
// the regular expression that they are written as.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "json.hpp"
#include "regex.hpp"

namespace mk {

// Finds the first match at or after `position`; a match is never empty.
using Matcher = std::function<Match(std::string_view text, std::size_t position)>;

// Reads {"String": …} or {"Regex": …}; throws naming a regular expression that is not understood.
Matcher read_pattern(const Json& value, const std::string& name);

// The pattern of GPT-2, which byte-level tokenizers split by.
Match match_gpt2(std::string_view text, std::size_t position);

}  // namespace mk
