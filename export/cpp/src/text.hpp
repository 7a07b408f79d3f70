// The text on its way through the tokenizer: one string, and the spans of it that are pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mk {

// What a normalizer changes.
struct Text {
  std::string bytes;            // valid UTF-8
  bool begins_original = true;  // whether its first character stands for the first one of the whole input
};

constexpr std::int32_t no_id = -1;

struct Span {
  std::size_t begin;
  std::size_t end;
  std::int32_t id;  // of an added token, or no_id: still to be split and tokenized
  bool begins_original;
};

struct Pieces {
  std::string text;
  std::vector<Span> spans;  // none empty, in the order of the text

  std::string_view view(const Span& span) const {
    return std::string_view(text).substr(span.begin, span.end - span.begin);
  }
};

}  // namespace mk
