// Any text through any tokenizer. MIRRORKIT_FUZZ_TOKENIZERS names tokenizer.json files, separated by colons.

#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "bundle.hpp"
#include "error.hpp"
#include "tokenizer.hpp"
#include "unicode.hpp"

namespace {

constexpr std::size_t max_length = 64;

std::vector<mk::Tokenizer>& tokenizers() {
  static std::vector<mk::Tokenizer> all = [] {
    std::vector<mk::Tokenizer> read;
    std::stringstream files(std::getenv("MIRRORKIT_FUZZ_TOKENIZERS"));
    for (std::string file; std::getline(files, file, ':');) {
      read.emplace_back(mk::parse_json(mk::read_file(file), file), max_length);
    }
    return read;
  }();
  return all;
}

// Takes three bytes for a code point where the text is not UTF-8, so that few inputs are wasted.
std::string text_of(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  if (mk::unicode::is_valid_utf8(text)) return text;
  std::u32string points;
  for (std::size_t i = 0; i + 2 < size; i += 3) {
    const char32_t c = static_cast<char32_t>(data[i] << 16 | data[i + 1] << 8 | data[i + 2]) % 0x110000;
    if (c < 0xD800 || c > 0xDFFF) points.push_back(c);
  }
  return mk::unicode::encode(points);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const mk::Tokenizer& tokenizer = tokenizers()[data[0] % tokenizers().size()];
  if (tokenizer.encode(text_of(data + 1, size - 1)).size() > max_length) std::abort();
  return 0;
}
