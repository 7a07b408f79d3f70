// Code points: UTF-8, the properties that tokenizers ask for, and the four normal forms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "unicode_tables.hpp"

namespace mk::unicode {

// Decodes the code point at `position` of valid UTF-8 and moves `position` past it.
inline char32_t next(std::string_view text, std::size_t& position) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(position);
  if (first < 0x80) {
    position += 1;
    return first;
  }
  if (first < 0xE0) {
    position += 2;
    return static_cast<char32_t>((first & 0x1F) << 6 | (byte(position - 1) & 0x3F));
  }
  if (first < 0xF0) {
    position += 3;
    return static_cast<char32_t>((first & 0x0F) << 12 | (byte(position - 2) & 0x3F) << 6 | (byte(position - 1) & 0x3F));
  }
  position += 4;
  return static_cast<char32_t>((first & 0x07) << 18 | (byte(position - 3) & 0x3F) << 12 |
                               (byte(position - 2) & 0x3F) << 6 | (byte(position - 1) & 0x3F));
}

// Decodes the code point that ends at `position` (> 0) and moves `position` to its beginning.
inline char32_t previous(std::string_view text, std::size_t& position) {
  do {
    --position;
  } while ((static_cast<unsigned char>(text[position]) & 0xC0) == 0x80);
  std::size_t forward = position;
  return next(text, forward);
}

void append(std::string& text, char32_t c);
std::u32string decode(std::string_view text);
std::string encode(std::u32string_view text);
bool is_valid_utf8(std::string_view text);
bool is_ascii(std::string_view text);

inline bool has(char32_t c, std::uint16_t properties) { return (property_of(c) & properties) != 0; }

enum class Form { nfc, nfd, nfkc, nfkd };

std::u32string normalize(std::u32string_view text, Form form);

// Appends the lower case of one code point: no context, so no final sigma.
void append_lower(std::u32string& text, char32_t c);

// Returns where the grapheme cluster that begins at `position` ends. Make one object for one text, and ask it for one
// cluster after the other: two of the rules look back beyond the cluster.
class ClusterEnds {
 public:
  explicit ClusterEnds(std::string_view text) : text_(text) {}
  std::size_t next_end();

 private:
  void pass(char32_t c, std::uint8_t classes);
  bool breaks_before(char32_t c, std::uint8_t classes) const;

  std::string_view text_;
  std::size_t start_ = 0, position_ = 0;
  char32_t before_ = 0;
  std::uint8_t class_before_ = 0;
  int pictograph_ = 0;  // 1 after a pictograph and its extenders, 2 after a joiner that follows these
  bool consonant_ = false, linked_ = false;  // a consonant, and a linker after it, with only extenders between
};

}  // namespace mk::unicode
