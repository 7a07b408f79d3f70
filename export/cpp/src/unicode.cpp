#include "unicode.hpp"

#include <algorithm>
#include <iterator>

namespace mk::unicode {
namespace {

constexpr char32_t hangul_base = 0xAC00, l_base = 0x1100, v_base = 0x1161, t_base = 0x11A7;
constexpr char32_t v_count = 21, t_count = 28, l_count = 19, syllables = l_count * v_count * t_count;

template <std::size_t n>
const Mapping* find(const Mapping (&table)[n], char32_t c) {
  const auto* found = std::lower_bound(std::begin(table), std::end(table), c,
                                       [](const Mapping& row, char32_t value) { return row.code_point < value; });
  return found != std::end(table) && found->code_point == c ? found : nullptr;
}

void append_mapped(std::u32string& text, const Mapping& mapping) {
  for (std::size_t i = 0; i < mapping.length; ++i) text.push_back(mapped_text[mapping.start + i]);
}

void append_decomposed(std::u32string& text, char32_t c, bool compatibly) {
  if (c >= hangul_base && c < hangul_base + syllables) {
    const char32_t index = c - hangul_base;
    text.push_back(l_base + index / (v_count * t_count));
    text.push_back(v_base + index % (v_count * t_count) / t_count);
    if (index % t_count != 0) text.push_back(t_base + index % t_count);
    return;
  }
  const std::uint16_t properties = c < 0x80 ? 0 : property_of(c);
  const Mapping* mapping = nullptr;
  if (compatibly && (properties & has_compatible)) mapping = find(compatible, c);
  if (mapping == nullptr && (properties & has_canonical)) mapping = find(canonical, c);
  if (mapping == nullptr) {
    text.push_back(c);
  } else {
    append_mapped(text, *mapping);
  }
}

std::uint32_t rank_of(char32_t c) {
  if (c < 0x80 || !has(c, has_rank)) return 0;
  const auto* found = std::lower_bound(std::begin(ranks), std::end(ranks), c,
                                       [](const Rank& row, char32_t value) { return row.code_point < value; });
  return found->rank;
}

void order_marks(std::u32string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (rank_of(text[i]) == 0) continue;
    std::size_t end = i + 1;
    while (end < text.size() && rank_of(text[end]) != 0) ++end;
    std::stable_sort(text.begin() + static_cast<std::ptrdiff_t>(i), text.begin() + static_cast<std::ptrdiff_t>(end),
                     [](char32_t a, char32_t b) { return rank_of(a) < rank_of(b); });
    i = end - 1;
  }
}

// Returns what the pair composes to, or 0.
char32_t composed(char32_t first, char32_t second) {
  if (first >= l_base && first < l_base + l_count && second >= v_base && second < v_base + v_count) {
    return hangul_base + ((first - l_base) * v_count + (second - v_base)) * t_count;
  }
  if (first >= hangul_base && first < hangul_base + syllables && (first - hangul_base) % t_count == 0 &&
      second > t_base && second < t_base + t_count) {
    return first + (second - t_base);
  }
  const auto* found =
      std::lower_bound(std::begin(compositions), std::end(compositions), std::make_pair(first, second),
                       [](const Composition& row, const auto& pair) {
                         return row.first != pair.first ? row.first < pair.first : row.second < pair.second;
                       });
  const bool same = found != std::end(compositions) && found->first == first && found->second == second;
  return same ? found->composed : 0;
}

void compose(std::u32string& text) {
  constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::size_t starter = none, out = 0;
  std::uint32_t last_rank = 0;  // of what was kept after the starter
  for (const char32_t c : std::u32string(text)) {
    const std::uint32_t rank = rank_of(c);
    const bool adjacent = starter != none && starter + 1 == out;
    if (starter != none && (adjacent || last_rank < rank)) {
      if (const char32_t both = composed(text[starter], c)) {
        text[starter] = both;
        continue;
      }
    }
    if (rank == 0) starter = out;
    last_rank = rank;
    text[out++] = c;
  }
  text.resize(out);
}

}  // namespace

void append(std::string& text, char32_t c) {
  if (c < 0x80) {
    text.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    text.push_back(static_cast<char>(0xC0 | c >> 6));
    text.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    text.push_back(static_cast<char>(0xE0 | c >> 12));
    text.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    text.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    text.push_back(static_cast<char>(0xF0 | c >> 18));
    text.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
    text.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    text.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

std::u32string decode(std::string_view text) {
  std::u32string result;
  result.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) result.push_back(next(text, position));
  return result;
}

std::string encode(std::u32string_view text) {
  std::string result;
  result.reserve(text.size() + text.size() / 8);
  for (const char32_t c : text) append(result, c);
  return result;
}

bool is_valid_utf8(std::string_view text) {
  constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t length = first < 0x80   ? 1
                               : first < 0xC0 ? 0
                               : first < 0xE0 ? 2
                               : first < 0xF0 ? 3
                               : first < 0xF8 ? 4
                                              : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (std::size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    const char32_t c = next(text, i);
    if (c < smallest[length] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return false;
  }
  return true;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::u32string normalize(std::u32string_view text, Form form) {
  std::u32string result;
  result.reserve(text.size());
  for (const char32_t c : text) append_decomposed(result, c, form == Form::nfkc || form == Form::nfkd);
  order_marks(result);
  if (form == Form::nfc || form == Form::nfkc) compose(result);
  return result;
}

void append_lower(std::u32string& text, char32_t c) {
  if (c < 0x80) {
    text.push_back(c >= U'A' && c <= U'Z' ? c + 32 : c);
  } else if (const Mapping* mapping = has(c, has_lower) ? find(lower, c) : nullptr) {
    append_mapped(text, *mapping);
  } else {
    text.push_back(c);
  }
}

void ClusterEnds::pass(char32_t c, std::uint8_t classes) {
  const std::uint8_t cluster = classes & cluster_mask;
  if (cluster == pictographic) {
    pictograph_ = 1;
  } else if (cluster == zwj) {
    pictograph_ = pictograph_ == 1 ? 2 : 0;
  } else if (cluster != extend || pictograph_ != 1) {
    pictograph_ = 0;
  }
  if (classes & cluster_linker) {
    linked_ = consonant_;
  } else if (!(classes & cluster_incb_extend)) {
    consonant_ = cluster == consonant;
    linked_ = false;
  }
  before_ = c;
  class_before_ = cluster;
}

bool ClusterEnds::breaks_before(char32_t c, std::uint8_t classes) const {
  const std::uint8_t left = class_before_, right = classes & cluster_mask;
  if (before_ == U'\r' && c == U'\n') return false;
  if (left == control || right == control) return true;
  if (left == hangul_l && (right == hangul_l || right == hangul_v || right == hangul_lv || right == hangul_lvt))
    return false;
  if ((left == hangul_lv || left == hangul_v) && (right == hangul_v || right == hangul_t)) return false;
  if ((left == hangul_lvt || left == hangul_t) && right == hangul_t) return false;
  if (right == extend || right == zwj || right == spacing_mark || left == prepend) return false;
  if (right == consonant) return !(consonant_ && linked_);
  return !(right == pictographic && pictograph_ == 2);
}

std::size_t ClusterEnds::next_end() {
  while (position_ < text_.size()) {
    std::size_t after = position_;
    const char32_t c = next(text_, after);
    const std::uint8_t classes = cluster_of(c);
    if (position_ != start_ && breaks_before(c, classes)) break;
    pass(c, classes);
    position_ = after;
  }
  start_ = position_;
  return position_;
}

}  // namespace mk::unicode
