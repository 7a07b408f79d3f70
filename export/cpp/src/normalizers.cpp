#include "normalizers.hpp"

#include <array>
#include <utility>
#include <vector>

#include "error.hpp"
#include "patterns.hpp"
#include "unicode.hpp"

namespace mk {
namespace {

using unicode::has;

// Keeps the code points that `keep` accepts. The first one kept stands for itself: where others went before it, the
// text no longer begins where the input does.
template <typename Keep>
void filter(std::u32string& text, bool& begins_original, Keep keep) {
  begins_original = begins_original && (text.empty() || keep(text[0]));
  std::size_t out = 0;
  for (const char32_t c : text) {
    if (keep(c)) text[out++] = c;
  }
  text.resize(out);
}

class Bert : public Normalizer {
 public:
  explicit Bert(const Json& value) {
    const std::string name = "normalizer BertNormalizer";
    expect_keys(value, {"type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"}, name);
    clean_ = bool_field(value, "clean_text", name);
    chinese_ = bool_field(value, "handle_chinese_chars", name);
    lowercase_ = bool_field(value, "lowercase", name);
    strip_accents_ = bool_or(value, "strip_accents", lowercase_, name);
  }

  void apply(Text& text) const override {
    if (unicode::is_ascii(text.bytes)) {
      apply_ascii(text);
    } else {
      apply_all(text);
    }
  }

 private:
  void apply_ascii(Text& text) const {
    std::size_t out = 0;
    for (char c : text.bytes) {
      if (clean_) {
        if (c == '\t' || c == '\n' || c == '\r') c = ' ';
        if (c == 0x7F || c < ' ') {
          text.begins_original = text.begins_original && out > 0;
          continue;
        }
      }
      if (lowercase_ && c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
      text.bytes[out++] = c;
    }
    text.bytes.resize(out);
  }

  void apply_all(Text& text) const {
    std::u32string points = unicode::decode(text.bytes);
    if (clean_) {
      filter(points, text.begins_original,
             [](char32_t c) { return c != 0 && c != 0xFFFD && !has(c, unicode::unclean); });
      for (char32_t& c : points) c = has(c, unicode::whitespace) ? U' ' : c;
    }
    if (chinese_) points = apart(points);
    if (strip_accents_) {
      points = unicode::normalize(points, unicode::Form::nfd);
      filter(points, text.begins_original, [](char32_t c) { return !has(c, unicode::nonspacing_mark); });
    }
    if (lowercase_) points = lower(points);
    text.bytes = unicode::encode(points);
  }

  static std::u32string apart(const std::u32string& points) {
    std::u32string result;
    result.reserve(points.size());
    for (const char32_t c : points) {
      const bool chinese = has(c, unicode::chinese);
      if (chinese) result.push_back(U' ');
      result.push_back(c);
      if (chinese) result.push_back(U' ');
    }
    return result;
  }

  static std::u32string lower(const std::u32string& points) {
    std::u32string result;
    result.reserve(points.size());
    for (const char32_t c : points) unicode::append_lower(result, c);
    return result;
  }

  bool clean_, chinese_, lowercase_, strip_accents_;
};

class UnicodeForm : public Normalizer {
 public:
  explicit UnicodeForm(unicode::Form form) : form_(form) {}
  void apply(Text& text) const override {
    if (unicode::is_ascii(text.bytes)) return;
    text.bytes = unicode::encode(unicode::normalize(unicode::decode(text.bytes), form_));
  }

 private:
  unicode::Form form_;
};

class Lowercase : public Normalizer {
 public:
  void apply(Text& text) const override {
    std::u32string result;
    result.reserve(text.bytes.size());
    for (std::size_t at = 0; at < text.bytes.size();) unicode::append_lower(result, unicode::next(text.bytes, at));
    text.bytes = unicode::encode(result);
  }
};

class StripAccents : public Normalizer {
 public:
  void apply(Text& text) const override {
    std::u32string points = unicode::decode(text.bytes);
    filter(points, text.begins_original, [](char32_t c) { return !has(c, unicode::mark); });
    text.bytes = unicode::encode(points);
  }
};

class Strip : public Normalizer {
 public:
  explicit Strip(const Json& value) {
    const std::string name = "normalizer Strip";
    expect_keys(value, {"type", "strip_left", "strip_right"}, name);
    left_ = bool_field(value, "strip_left", name);
    right_ = bool_field(value, "strip_right", name);
  }

  void apply(Text& text) const override {
    std::size_t begin = 0, end = text.bytes.size();
    while (left_ && begin < end) {
      std::size_t after = begin;
      if (!has(unicode::next(text.bytes, after), unicode::whitespace)) break;
      begin = after;
    }
    while (right_ && end > begin) {
      std::size_t before = end;
      if (!has(unicode::previous(text.bytes, before), unicode::whitespace)) break;
      end = before;
    }
    text.begins_original = text.begins_original && begin == 0;
    text.bytes = text.bytes.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

class Nmt : public Normalizer {
 public:
  void apply(Text& text) const override {
    std::u32string points = unicode::decode(text.bytes);
    filter(points, text.begins_original, [](char32_t c) {
      return !((c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F);
    });
    for (char32_t& c : points) {
      const bool space = c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                         c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
      if (space) c = U' ';
    }
    text.bytes = unicode::encode(points);
  }
};

class Replace : public Normalizer {
 public:
  explicit Replace(const Json& value) {
    const std::string name = "normalizer Replace";
    expect_keys(value, {"type", "pattern", "content"}, name);
    pattern_ = read_pattern(field(value, "pattern", name), name);
    content_ = string_field(value, "content", name);
  }

  void apply(Text& text) const override {
    Match match = pattern_(text.bytes, 0);
    if (match.begin == match.end) return;
    if (match.begin == 0) {
      std::size_t first_end = 0;  // what is put in stands for the last character that it replaces
      unicode::next(text.bytes, first_end);
      text.begins_original = text.begins_original && !content_.empty() && first_end == match.end;
    }
    std::string result;
    std::size_t done = 0;
    for (; match.begin != match.end; match = pattern_(text.bytes, match.end)) {
      result.append(text.bytes, done, match.begin - done).append(content_);
      done = match.end;
    }
    text.bytes = result.append(text.bytes, done, std::string::npos);
  }

 private:
  Matcher pattern_;
  std::string content_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(const Json& value) {
    expect_keys(value, {"type", "prepend"}, "normalizer Prepend");
    prepend_ = string_field(value, "prepend", "normalizer Prepend");
  }
  void apply(Text& text) const override {
    if (!text.bytes.empty()) text.bytes.insert(0, prepend_);
  }

 private:
  std::string prepend_;
};

class ByteLevel : public Normalizer {
 public:
  void apply(Text& text) const override {
    std::string result;
    append_byte_characters(text.bytes, result);
    text.bytes = std::move(result);
  }
};

class Sequence : public Normalizer {
 public:
  explicit Sequence(const Json& value) {
    expect_keys(value, {"type", "normalizers"}, "normalizer Sequence");
    const Json& list = field(value, "normalizers", "normalizer Sequence");
    if (!list.is_array()) bad_bundle("normalizer Sequence: normalizers must be a list");
    for (const Json& item : list) {
      if (item.is_null()) bad_bundle("normalizer Sequence: null in it");
      parts_.push_back(read_normalizer(item));
    }
  }
  void apply(Text& text) const override {
    for (const auto& part : parts_) part->apply(text);
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> parts_;
};

}  // namespace

void append_byte_characters(std::string_view bytes, std::string& out) {
  static const std::array<char32_t, 256> characters = [] {
    std::array<char32_t, 256> table{};
    char32_t spare = 256;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      table[byte] = printable ? byte : spare++;
    }
    return table;
  }();
  for (const char c : bytes) unicode::append(out, characters[static_cast<unsigned char>(c)]);
}

std::unique_ptr<const Normalizer> read_normalizer(const Json& value) {
  if (value.is_null()) return nullptr;
  const std::string type = type_of(value, "normalizer");
  const auto plain = [&](auto normalizer) -> std::unique_ptr<const Normalizer> {
    expect_keys(value, {"type"}, "normalizer " + type);
    return normalizer;
  };
  if (type == "BertNormalizer") return std::make_unique<Bert>(value);
  if (type == "NFC") return plain(std::make_unique<UnicodeForm>(unicode::Form::nfc));
  if (type == "NFD") return plain(std::make_unique<UnicodeForm>(unicode::Form::nfd));
  if (type == "NFKC") return plain(std::make_unique<UnicodeForm>(unicode::Form::nfkc));
  if (type == "NFKD") return plain(std::make_unique<UnicodeForm>(unicode::Form::nfkd));
  if (type == "Lowercase") return plain(std::make_unique<Lowercase>());
  if (type == "StripAccents") return plain(std::make_unique<StripAccents>());
  if (type == "Strip") return std::make_unique<Strip>(value);
  if (type == "Nmt") return plain(std::make_unique<Nmt>());
  if (type == "Replace") return std::make_unique<Replace>(value);
  if (type == "Prepend") return std::make_unique<Prepend>(value);
  if (type == "ByteLevel") return plain(std::make_unique<ByteLevel>());
  if (type == "Precompiled") return read_precompiled(value);
  if (type == "Sequence") return std::make_unique<Sequence>(value);
  unsupported("normalizer " + type + ": not known to this library");
}

}  // namespace mk
