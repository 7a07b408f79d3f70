// Any bytes as a regular expression and a text, parted by a line end: an Error, or matches that go forward and end.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "error.hpp"
#include "regex.hpp"
#include "unicode.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  if (!mk::unicode::is_valid_utf8(all)) return 0;
  const std::size_t border = all.find('\n');
  const std::string_view text = border == std::string_view::npos ? std::string_view() : all.substr(border + 1);
  try {
    const mk::Regex regex(all.substr(0, border), "pattern");
    std::size_t done = 0;
    for (mk::Match match = regex.find(text, 0); match.begin != match.end; match = regex.find(text, done)) {
      if (match.begin < done || match.end <= match.begin || match.end > text.size()) std::abort();
      done = match.end;
    }
  } catch (const mk::Error&) {
  }
  return 0;
}
