// The charsmap is a u32 length, a double-array trie of u32 units, and the replacements, each ended by a zero byte.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "error.hpp"
#include "normalizers.hpp"
#include "unicode.hpp"

namespace mk {
namespace {

constexpr std::size_t longest_cluster = 5;  // bytes; longer ones are looked up one code point at a time
const std::string name = "normalizer Precompiled";

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

std::string from_base64(const std::string& text) {
  if (text.size() % 4 != 0) bad_bundle(name + ": precompiled_charsmap is not base64");
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (std::size_t i = 0; i < text.size() - padding; ++i) {
    const int value = base64_value(text[i]);
    if (value < 0) bad_bundle(name + ": precompiled_charsmap is not base64");
    bits = (bits << 6 | static_cast<std::uint32_t>(value)) & 0xFFFFFF;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<char>(bits >> count & 0xFF));
    }
  }
  return bytes;
}

class Precompiled : public Normalizer {
 public:
  explicit Precompiled(const std::string& blob) {
    const std::size_t size = blob.size() < 4 ? 0 : unit_at(blob, 0);
    if (size < 4 || size > blob.size() - 4) bad_bundle(name + ": the charsmap is cut off");
    for (std::size_t i = 0; i < size / 4; ++i) units_.push_back(unit_at(blob, 4 + 4 * i));
    replacements_ = blob.substr(4 + size / 4 * 4);
    if (!unicode::is_valid_utf8(replacements_)) bad_bundle(name + ": a replacement is not UTF-8");
  }

  void apply(Text& text) const override {
    std::string result;
    result.reserve(text.bytes.size());
    const std::string_view bytes = text.bytes;
    unicode::ClusterEnds clusters(bytes);
    for (std::size_t begin = 0; begin < bytes.size();) {
      const std::size_t end = clusters.next_end();
      if (end - begin > longest_cluster || !append_replacement(bytes.substr(begin, end - begin), result)) {
        append_each(bytes.substr(begin, end - begin), result);
      }
      begin = end;
    }
    text.bytes = std::move(result);
  }

 private:
  static std::uint32_t unit_at(const std::string& blob, std::size_t at) {
    const auto byte = [&](std::size_t i) {
      return static_cast<std::uint32_t>(static_cast<unsigned char>(blob[at + i]));
    };
    return byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
  }

  std::uint32_t unit(std::size_t at) const {
    if (at >= units_.size()) bad_bundle(name + ": the trie of the charsmap leads out of it");
    return units_[at];
  }

  static std::size_t offset(std::uint32_t unit) {
    return static_cast<std::size_t>(unit >> 10) << ((unit & 1U << 9) >> 6);
  }

  // Appends the replacement of the shortest key that `chunk` begins with; returns whether there is one.
  bool append_replacement(std::string_view chunk, std::string& out) const {
    std::size_t node = offset(unit(0));
    for (const char c : chunk) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte == 0) return false;
      node ^= byte;
      const std::uint32_t found = unit(node);
      if ((found & (1U << 31 | 0xFF)) != byte) return false;
      node ^= offset(found);
      if (found >> 8 & 1) {
        append_entry(unit(node) & 0x7FFFFFFF, out);
        return true;
      }
    }
    return false;
  }

  void append_entry(std::size_t begin, std::string& out) const {
    const bool inside =
        begin < replacements_.size() && (static_cast<unsigned char>(replacements_[begin]) & 0xC0) != 0x80;
    if (!inside && begin != replacements_.size()) bad_bundle(name + ": a replacement lies outside the charsmap");
    const std::size_t end = replacements_.find('\0', begin);
    out.append(replacements_, begin, end == std::string::npos ? end : end - begin);
  }

  void append_each(std::string_view cluster, std::string& out) const {
    for (std::size_t begin = 0; begin < cluster.size();) {
      std::size_t end = begin;
      unicode::next(cluster, end);
      const std::string_view part = cluster.substr(begin, end - begin);
      if (!append_replacement(part, out)) out.append(part);
      begin = end;
    }
  }

  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

}  // namespace

std::unique_ptr<const Normalizer> read_precompiled(const Json& value) {
  expect_keys(value, {"type", "precompiled_charsmap"}, name);
  return std::make_unique<Precompiled>(from_base64(string_field(value, "precompiled_charsmap", name)));
}

}  // namespace mk
