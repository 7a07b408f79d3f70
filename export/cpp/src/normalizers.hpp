// The "normalizer" of tokenizer.json.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "json.hpp"
#include "text.hpp"

namespace mk {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(Text& text) const = 0;
};

// Reads a normalizer; returns null for a JSON null, and throws naming a type or option that is not known.
std::unique_ptr<const Normalizer> read_normalizer(const Json& value);

// The Precompiled normalizer of SentencePiece: a trie from byte strings to replacements.
std::unique_ptr<const Normalizer> read_precompiled(const Json& value);

// Appends the printable character that stands for each byte in a byte-level vocabulary.
void append_byte_characters(std::string_view bytes, std::string& out);

}  // namespace mk
