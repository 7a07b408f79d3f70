// The "added_tokens" of tokenizer.json: cut out of the text before anything else looks at it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "json.hpp"
#include "models.hpp"
#include "normalizers.hpp"
#include "text.hpp"

namespace mk {

class AddedTokens {
 public:
  // `normalizer` may be null.
  AddedTokens(const Json& value, const Model& model, const Normalizer* normalizer);

  // Cuts the tokens out of the text, and normalizes what is between them.
  Pieces extract(std::string_view text, const Normalizer* normalizer) const;

 private:
  struct Token {
    std::string pattern;
    std::int32_t id;
    bool single_word, lstrip, rstrip;
  };

  // Tokens that are looked for in the same text; at each place the longest one counts.
  class Set {
   public:
    void add(Token token);
    void sort();
    // Calls emit(begin, end, id or no_id) for each part of the text. Parts can overlap where a token strips spaces.
    template <typename Emit>
    void cut(std::string_view text, const Emit& emit) const;

   private:
    const Token* at(std::string_view text, std::size_t position) const;

    std::vector<Token> tokens_;               // by first byte, then longest first
    std::array<std::uint32_t, 257> first_{};  // where in tokens_ each first byte begins
  };

  Set raw_, normalized_;
};

}  // namespace mk
