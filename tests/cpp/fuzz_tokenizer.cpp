// Any bytes as tokenizer.json: an Error, or a tokenizer that works.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "error.hpp"
#include "tokenizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const mk::Tokenizer tokenizer(mk::parse_json(text, "tokenizer.json"), 16);
    if (tokenizer.encode("It's a naïve  e\u0301 中文 [MASK]<mask> 12!").size() > 16) std::abort();
  } catch (const mk::Error&) {
  }
  return 0;
}
