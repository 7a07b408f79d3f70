// The "model" of tokenizer.json: from a piece of text to token ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "json.hpp"
#include "trie.hpp"

namespace mk {

class Model {
 public:
  virtual ~Model() = default;
  virtual void tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const = 0;
  virtual std::int32_t find(std::string_view token) const = 0;  // its id, or Trie::none
  virtual std::size_t vocabulary_size() const = 0;
};

// Reads a model; throws naming a type or option that is not known.
std::unique_ptr<const Model> read_model(const Json& value);
std::unique_ptr<const Model> read_word_piece(const Json& value);
std::unique_ptr<const Model> read_bpe(const Json& value);
std::unique_ptr<const Model> read_unigram(const Json& value);

// Reads {"token": id, …}; the trie keeps no reference to `value`.
Trie read_vocabulary(const Json& value, const std::string& name);

// Returns the ids of the tokens <0x00> to <0xFF>; Trie::none for those that are not in the vocabulary.
std::vector<std::int32_t> byte_tokens(const Trie& vocabulary);

}  // namespace mk
