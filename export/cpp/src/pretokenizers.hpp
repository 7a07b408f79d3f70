// The "pre_tokenizer" of tokenizer.json.
#pragma once

#include <memory>

#include "json.hpp"
#include "text.hpp"

namespace mk {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

// Reads a pre-tokenizer; returns null for a JSON null, and throws naming a type or option that is not known.
std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const Json& value);

}  // namespace mk
