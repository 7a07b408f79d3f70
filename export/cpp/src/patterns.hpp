// The patterns that tokenizer files name. Regular expressions are not interpreted: each known one has a matcher.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "json.hpp"

namespace mk {

struct Match {
  std::size_t begin;
  std::size_t end;  // begin == end: no further match
};

// Finds the first match at or after `position`; a match is never empty.
using Matcher = std::function<Match(std::string_view text, std::size_t position)>;

// Reads {"String": …} or {"Regex": …}; throws naming a regular expression that is not known.
Matcher read_pattern(const Json& value, const std::string& name);

// The pattern of GPT-2, which byte-level tokenizers split by.
Match match_gpt2(std::string_view text, std::size_t position);

}  // namespace mk
