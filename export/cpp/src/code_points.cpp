#include "code_points.hpp"

#include <algorithm>
#include <map>
#include <string>

#include "unicode.hpp"

namespace mk {
namespace {

constexpr char32_t last_point = 0x10FFFF;

// The categories, in the order of their numbers.
constexpr std::array<std::string_view, 29> categories = {"Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd",
                                                         "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
                                                         "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co"};
static_assert(unicode::category_co == categories.size() - 1, "a category has no name");

}  // namespace

template <typename Accept>
CodePoints CodePoints::where(Accept accept) {
  CodePoints found;
  for (char32_t c = 0; c <= last_point; ++c) {
    if (!accept(c)) continue;
    if (!found.ranges_.empty() && found.ranges_.back().second + 1 == c) {
      found.ranges_.back().second = c;
    } else {
      found.ranges_.emplace_back(c, c);
    }
  }
  found.settle();
  return found;
}

CodePoints CodePoints::all() { return of(0, last_point); }

CodePoints CodePoints::of(char32_t first, char32_t last) {
  CodePoints found;
  found.ranges_ = {{first, last}};
  found.settle();
  return found;
}

CodePoints CodePoints::property(std::string_view name) {
  // All categories in one pass over the code points, once a process.
  static const std::map<std::string, CodePoints, std::less<>> known = [] {
    std::map<std::string, CodePoints, std::less<>> named;
    std::array<CodePoints, categories.size()> found;
    for (char32_t c = 0; c <= last_point; ++c) {
      auto& ranges = found[unicode::category_of(c) & unicode::category_mask].ranges_;
      if (!ranges.empty() && ranges.back().second + 1 == c) {
        ranges.back().second = c;
      } else {
        ranges.emplace_back(c, c);
      }
    }
    for (std::size_t i = 0; i < categories.size(); ++i) {
      found[i].settle();
      named[std::string(categories[i])] = found[i];
      named[std::string(categories[i].substr(0, 1))].add(found[i]);
    }
    named["Han"] = where([](char32_t c) { return (unicode::category_of(c) & unicode::category_han) != 0; });
    return named;
  }();
  const auto found = known.find(name);
  // Which code points are unassigned depends on the release of Unicode, and half characters are in no text.
  return found == known.end() || name == "C" || name == "Cn" ? CodePoints() : found->second;
}

CodePoints CodePoints::white_space() {
  static const CodePoints found = where([](char32_t c) { return unicode::has(c, unicode::whitespace); });
  return found;
}

CodePoints CodePoints::word() {
  static const CodePoints found =
      where([](char32_t c) { return (unicode::category_of(c) & unicode::category_regex_word) != 0; });
  return found;
}

void CodePoints::add(const CodePoints& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  std::sort(ranges_.begin(), ranges_.end());
  std::vector<Range> joined;
  for (const Range& range : ranges_) {
    if (!joined.empty() && range.first <= joined.back().second + 1) {
      joined.back().second = std::max(joined.back().second, range.second);
    } else {
      joined.push_back(range);
    }
  }
  ranges_ = std::move(joined);
  settle();
}

CodePoints CodePoints::inverted() const {
  CodePoints found;
  char32_t next = 0;
  for (const Range& range : ranges_) {
    if (next < range.first) found.ranges_.emplace_back(next, range.first - 1);
    next = range.second + 1;
  }
  if (next <= last_point) found.ranges_.emplace_back(next, last_point);
  found.settle();
  return found;
}

CodePoints CodePoints::common(const CodePoints& other) const {
  CodePoints outside = inverted();
  outside.add(other.inverted());
  return outside.inverted();
}

bool CodePoints::has_beyond_ascii(char32_t c) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                                      [](char32_t value, const Range& range) { return value < range.first; });
  return after != ranges_.begin() && c <= std::prev(after)->second;
}

void CodePoints::settle() {
  ascii_ = {0, 0};
  for (const Range& range : ranges_) {
    for (char32_t c = range.first; c <= range.second && c < 128; ++c) ascii_[c / 64] |= std::uint64_t{1} << (c % 64);
  }
}

}  // namespace mk
