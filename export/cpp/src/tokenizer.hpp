// From text to the token ids that the `tokenizers` package gives, by the same tokenizer.json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "added_tokens.hpp"
#include "models.hpp"
#include "normalizers.hpp"
#include "postprocessor.hpp"
#include "pretokenizers.hpp"

namespace mk {

// Immutable once read, so any number of threads may use one.
class Tokenizer {
 public:
  // `value` is tokenizer.json; longer texts are cut to `max_length` ids, special tokens included. Its own truncation
  // and padding do not count. Throws naming whatever this library does not know.
  Tokenizer(const Json& value, std::size_t max_length);

  // Returns the ids of a text, special tokens included; `text` must be valid UTF-8.
  std::vector<std::int32_t> encode(std::string_view text) const;

 private:
  std::unique_ptr<const Normalizer> normalizer_;
  std::unique_ptr<const PreTokenizer> pre_tokenizer_;
  std::unique_ptr<const Model> model_;
  AddedTokens added_;
  PostProcessor post_processor_;
  std::size_t room_;  // for ids of the text itself
};

}  // namespace mk
