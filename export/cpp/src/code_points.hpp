// Sets of code points, as the classes of regular expressions name them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace mk {

class CodePoints {
 public:
  using Range = std::pair<char32_t, char32_t>;  // first and last

  static CodePoints all();
  static CodePoints of(char32_t first, char32_t last);
  // Those of a general category ("L", "Lu"), or of "Han"; empty for a name that is not known.
  static CodePoints property(std::string_view name);
  static CodePoints white_space();
  static CodePoints word();

  void add(const CodePoints& other);
  CodePoints inverted() const;
  CodePoints common(const CodePoints& other) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<Range>& ranges() const { return ranges_; }

  bool has(char32_t c) const {
    return c < 128 ? (ascii_[c / 64] >> (c % 64) & 1) != 0 : has_beyond_ascii(c);
  }

 private:
  template <typename Accept>
  static CodePoints where(Accept accept);
  bool has_beyond_ascii(char32_t c) const;
  void settle();

  std::vector<Range> ranges_;  // ascending, apart
  std::array<std::uint64_t, 2> ascii_ = {0, 0};
};

}  // namespace mk
