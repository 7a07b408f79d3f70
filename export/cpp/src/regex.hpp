// Regular expressions as tokenizer files write them, in time that is linear in the text.
//
// The part of Oniguruma's syntax that they use: characters and escapes, `.`, classes with ranges, properties (general
// categories, Han), negation, union and &&, groups, (?i:) and (?m:), alternatives, greedy and lazy repeats, possessive
// ones of a single class, ^ $ \A \z \b \B, and looking around for a few characters. What lies outside fails by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "code_points.hpp"

namespace mk {

struct Match {
  std::size_t begin;
  std::size_t end;  // begin == end: no further match
};

class Regex {
 public:
  // Throws for a pattern that is not understood, or that could match nothing at all; `name` is what it belongs to.
  Regex(std::string_view pattern, const std::string& name);

  // Returns the first match at or after `position` of valid UTF-8.
  Match find(std::string_view text, std::size_t position) const;

  static constexpr std::size_t most_ahead = 32;  // code points that can be looked ahead for

 private:
  friend class RegexParser;
  enum class Op : std::uint8_t {
    set,         // a code point of sets[x]
    possessive,  // code points of sets[x], as many as there are, and never fewer
    split,       // on at x; where that fails, at y
    jump,        // on at x
    ahead,       // the code up to x matches here; y: must not
    behind,      // the code point before is of sets[x]; y: must not be
    line_begin,
    line_end,
    text_begin,
    text_end,
    word_border,  // y: must not be one
    accept,
  };
  struct Instruction {
    Op op;
    std::uint32_t x = 0, y = 0;
  };
  class Search;

  std::vector<Instruction> code_;
  std::vector<CodePoints> sets_;
};

}  // namespace mk
