#include "patterns.hpp"

#include <array>
#include <memory>

#include "error.hpp"
#include "unicode.hpp"

namespace mk {
namespace {

using unicode::has;
using unicode::next;

constexpr char32_t long_s = 0x17F;  // its upper case is S, so a pattern that ignores case takes it for one

// Returns the end of the run of code points that `inside` accepts, of at most `most`.
template <typename Inside>
std::size_t run(std::string_view text, std::size_t position, Inside inside, std::size_t most = std::string_view::npos) {
  for (std::size_t count = 0; position < text.size() && count < most; ++count) {
    std::size_t after = position;
    if (!inside(next(text, after))) break;
    position = after;
  }
  return position;
}

bool is_space(char32_t c) { return has(c, unicode::whitespace); }
bool is_letter(char32_t c) { return has(c, unicode::letter); }
bool is_number(char32_t c) { return has(c, unicode::number); }
bool is_line_end(char32_t c) { return c == U'\r' || c == U'\n'; }
bool is_other(char32_t c) { return !has(c, unicode::whitespace | unicode::letter | unicode::number); }

// \s+(?!\S)|\s+ from a white-space character on: all but the last one where something follows.
std::size_t spaces_but_last(std::string_view text, std::size_t position) {
  const std::size_t end = run(text, position, is_space);
  if (end == text.size()) return end;
  std::size_t last = end;
  unicode::previous(text, last);
  return last > position ? last : end;
}

// 's|'t|'re|'ve|'m|'ll|'d from an apostrophe on; returns `position` where none matches.
std::size_t contraction(std::string_view text, std::size_t position, bool ignore_case) {
  std::size_t after = position + 1;
  std::array<char32_t, 2> letters = {0, 0};
  std::array<std::size_t, 2> ends = {position, position};
  for (std::size_t i = 0; i < 2 && after < text.size(); ++i) {
    const char32_t c = next(text, after);
    letters[i] = !ignore_case ? c : c == long_s ? U's' : c < 0x80 ? c | 0x20 : c;
    ends[i] = after;
  }
  const auto [first, second] = letters;
  if (first == U's' || first == U't' || first == U'm' || first == U'd') return ends[0];
  if ((first == U'r' || first == U'v') && second == U'e') return ends[1];
  return first == U'l' && second == U'l' ? ends[1] : position;
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
Match match_gpt4(std::string_view text, std::size_t position, std::size_t digits) {
  if (position >= text.size()) return {position, position};
  std::size_t after = position;
  const char32_t first = next(text, after);
  if (first == U'\'') {
    const std::size_t end = contraction(text, position, true);
    if (end > position) return {position, end};
  }
  const std::size_t letters = is_letter(first) ? position : after;
  if (!is_number(first) && !is_line_end(first)) {
    const std::size_t end = run(text, letters, is_letter);
    if (end > letters) return {position, end};
  }
  if (is_number(first)) return {position, run(text, position, is_number, digits)};
  const std::size_t others = first == U' ' ? after : position;
  if (const std::size_t end = run(text, others, is_other); end > others) return {position, run(text, end, is_line_end)};
  const std::size_t spaces = run(text, position, is_space);
  std::size_t line_end = spaces;  // after the last line end among the spaces
  while (line_end > position) {
    std::size_t before = line_end;
    if (is_line_end(unicode::previous(text, before))) return {position, line_end};
    line_end = before;
  }
  return {position, spaces_but_last(text, position)};
}

constexpr std::string_view gpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view gpt2_grouped = R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view gpt4 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view qwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Matcher read_regex(const std::string& regex, const std::string& name) {
  if (regex == gpt2 || regex == gpt2_grouped) return match_gpt2;
  if (regex == gpt4) return [](std::string_view text, std::size_t at) { return match_gpt4(text, at, 3); };
  if (regex == qwen2) return [](std::string_view text, std::size_t at) { return match_gpt4(text, at, 1); };
  const auto any = std::make_shared<const Regex>(regex, name);
  return [any](std::string_view text, std::size_t at) { return any->find(text, at); };
}

}  // namespace

Match match_gpt2(std::string_view text, std::size_t position) {
  if (position >= text.size()) return {position, position};
  std::size_t after = position;
  const char32_t first = next(text, after);
  if (first == U'\'') {
    const std::size_t end = contraction(text, position, false);
    if (end > position) return {position, end};
  }
  const std::size_t body = first == U' ' ? after : position;
  if (body < text.size()) {
    std::size_t probe = body;
    const char32_t c = next(text, probe);
    if (is_letter(c)) return {position, run(text, probe, is_letter)};
    if (is_number(c)) return {position, run(text, probe, is_number)};
    if (is_other(c)) return {position, run(text, probe, is_other)};
  }
  return {position, spaces_but_last(text, position)};
}

Matcher read_pattern(const Json& value, const std::string& name) {
  expect_keys(value, {"String", "Regex"}, name);
  if (value.size() != 1) bad_bundle(name + ": must have one of String and Regex");
  if (value.contains("Regex")) return read_regex(string_field(value, "Regex", name), name);
  const std::string literal = string_field(value, "String", name);
  if (literal.empty()) unsupported(name + ": an empty pattern");
  return [literal](std::string_view text, std::size_t position) -> Match {
    const std::size_t found = text.find(literal, position);
    if (found == std::string_view::npos) return {text.size(), text.size()};
    return {found, found + literal.size()};
  };
}

}  // namespace mk
