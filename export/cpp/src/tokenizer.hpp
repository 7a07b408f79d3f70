// From text to the token ids that the `tokenizers` package gives, by the same tokenizer.json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
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
  // `value` is tokenizer.json; longer texts are cut to `max_length` ids, special tokens included, at their end or, with
  // `cuts_left`, at their beginning. Its own truncation and padding do not count. Throws naming whatever this library
  // does not know.
  Tokenizer(const Json& value, std::size_t max_length, bool cuts_left = false);

  // Returns the ids of a text, special tokens included; `text` must be valid UTF-8. Writes to *cut, where that is not
  // null, how many more it has that were cut off: that takes reading a long text to its end.
  std::vector<std::int32_t> encode(std::string_view text, std::size_t* cut = nullptr) const;

  std::int32_t largest_id() const { return largest_id_; }  // of a token

  // Returns how many ids a prompt takes at the start of a text: a special token at its end is not its own.
  std::size_t prompt_length(std::string_view prompt) const;

 private:
  std::unique_ptr<const Normalizer> normalizer_;
  std::unique_ptr<const PreTokenizer> pre_tokenizer_;
  std::unique_ptr<const Model> model_;
  AddedTokens added_;
  PostProcessor post_processor_;
  std::set<std::int32_t> special_;  // ids
  std::size_t room_;                // for ids of the text itself
  std::int32_t largest_id_;
  bool cuts_left_;
};

}  // namespace mk
