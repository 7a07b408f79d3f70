// The tokenizer of libmirrorkit for JavaScript. An instance of the module holds one tokenizer and one thread runs it;
// whoever drops the instance has freed all of it. src/tokenizer.mjs is the other side.
#include <emscripten/emscripten.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json.hpp"
#include "tokenizer.hpp"

namespace {

std::unique_ptr<char[]> input;  // what JavaScript has written for the next call, which frees it
std::optional<mk::Tokenizer> tokenizer;
std::vector<std::int32_t> result;
std::string error;

// Returns what `work` does, or -1 with the reason in `error`: no exception leaves the module.
template <typename Work>
std::int32_t guarded(Work work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    error = "out of memory";
  } catch (const std::exception& thrown) {
    error = thrown.what();
  }
  return -1;
}

}  // namespace

extern "C" {

// Returns room for the input of the next call, null where there is none; it is as aligned as what malloc gives.
EMSCRIPTEN_KEEPALIVE char* mk_input(std::size_t bytes) {
  input.reset();
  input.reset(new (std::nothrow) char[bytes]);
  return input.get();
}

// Reads the tokenizer.json in the input. Returns 0, or -1.
EMSCRIPTEN_KEEPALIVE std::int32_t mk_open(std::size_t bytes, std::size_t max_length, std::int32_t cuts_left) {
  return guarded([&] {
    const mk::Json value = mk::parse_json({input.get(), bytes}, "tokenizer.json");
    input.reset();
    tokenizer.emplace(value, max_length, cuts_left != 0);
    return 0;
  });
}

// Encodes texts: in the input as many lengths in bytes (uint32) as there are texts, then the texts in UTF-8. The result
// has for each how many ids it got, then these. Returns how many numbers that is, or -1.
EMSCRIPTEN_KEEPALIVE std::int32_t mk_encode(std::size_t texts) {
  return guarded([&] {
    result.clear();
    const auto* lengths = reinterpret_cast<const std::uint32_t*>(input.get());
    const char* text = input.get() + texts * sizeof(*lengths);
    for (std::size_t i = 0; i < texts; text += lengths[i++]) {
      const std::vector<std::int32_t> ids = tokenizer->encode({text, lengths[i]});
      result.push_back(static_cast<std::int32_t>(ids.size()));
      result.insert(result.end(), ids.begin(), ids.end());
    }
    input.reset();
    return static_cast<std::int32_t>(result.size());
  });
}

// Returns how many ids the prompt in the input takes at the start of a text, or -1.
EMSCRIPTEN_KEEPALIVE std::int32_t mk_prompt_length(std::size_t bytes) {
  return guarded([&] {
    const std::size_t length = tokenizer->prompt_length({input.get(), bytes});
    input.reset();
    return static_cast<std::int32_t>(length);
  });
}

EMSCRIPTEN_KEEPALIVE const std::int32_t* mk_result() { return result.data(); }

// What was wrong with the last call that returned -1, in UTF-8 that ends with a zero byte.
EMSCRIPTEN_KEEPALIVE const char* mk_error() { return error.c_str(); }

}  // extern "C"
