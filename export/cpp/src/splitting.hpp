// Cutting the pieces of a text into smaller ones.
#pragma once

#include <string>
#include <vector>

#include "error.hpp"
#include "patterns.hpp"
#include "text.hpp"

namespace mk {

// What becomes of a match.
enum class Behavior { removed, isolated, contiguous, merged_with_previous, merged_with_next };

Behavior read_behavior(const std::string& value, const std::string& name);

// Cuts every span that is not an added token: `cut(text, emit)` calls emit(begin, end) for each new piece of it, in
// order. Empty ones are dropped.
template <typename Cut>
void split(Pieces& pieces, Cut cut) {
  std::vector<Span> spans;
  spans.reserve(pieces.spans.size() + pieces.text.size() / 4);
  for (const Span& span : pieces.spans) {
    if (span.id != no_id) {
      spans.push_back(span);
      continue;
    }
    cut(pieces.view(span), [&](std::size_t begin, std::size_t end) {
      if (begin < end)
        spans.push_back({span.begin + begin, span.begin + end, no_id, span.begins_original && begin == 0});
    });
  }
  pieces.spans = std::move(spans);
}

// Cuts by the matches of a pattern, or, inverted, by what lies between them.
template <typename Find>
void split_by(Pieces& pieces, Behavior behavior, bool invert, const Find& find) {
  struct Part {
    std::size_t begin, end;
    bool match;
  };
  std::vector<Part> parts;
  split(pieces, [&](std::string_view text, const auto& emit) {
    parts.clear();
    std::size_t done = 0;
    for (Match match = find(text, 0); match.begin != match.end; match = find(text, match.end)) {
      if (done < match.begin) parts.push_back({done, match.begin, invert});
      parts.push_back({match.begin, match.end, !invert});
      done = match.end;
    }
    if (done < text.size()) parts.push_back({done, text.size(), invert});
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (behavior == Behavior::removed && parts[i].match) continue;
      const std::size_t begin = parts[i].begin;
      while (i + 1 < parts.size()) {
        const bool here = parts[i].match, next = parts[i + 1].match;
        const bool joins = (behavior == Behavior::contiguous && here == next) ||
                           (behavior == Behavior::merged_with_previous && !here && next) ||
                           (behavior == Behavior::merged_with_next && here && !next);
        if (!joins) break;
        ++i;
      }
      emit(begin, parts[i].end);
    }
  });
}

}  // namespace mk
