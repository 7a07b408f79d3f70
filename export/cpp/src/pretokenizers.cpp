#include "pretokenizers.hpp"

#include <utility>
#include <vector>

#include "error.hpp"
#include "normalizers.hpp"
#include "splitting.hpp"
#include "unicode.hpp"

namespace mk {
namespace {

using unicode::has;

// Rewrites every span that is not an added token: `rewrite(old text, span, new text)` appends to the new text.
template <typename Rewrite>
void rewrite_spans(Pieces& pieces, Rewrite rewrite) {
  std::string text;
  text.reserve(pieces.text.size() + pieces.text.size() / 2);
  for (Span& span : pieces.spans) {
    const std::size_t begin = text.size();
    if (span.id == no_id) {
      rewrite(pieces.view(span), span, text);
    } else {
      text.append(pieces.view(span));
    }
    span.begin = begin;
    span.end = text.size();
  }
  pieces.text = std::move(text);
}

class Bert : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    split(pieces, [](std::string_view text, const auto& emit) {
      std::size_t begin = 0;
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t start = at;
        const std::uint16_t properties = unicode::property_of(unicode::next(text, at));
        if (!(properties & (unicode::whitespace | unicode::punctuation))) continue;
        emit(begin, start);
        if (!(properties & unicode::whitespace)) emit(start, at);
        begin = at;
      }
      emit(begin, text.size());
    });
  }
};

// Splits by single code points of a property.
class ByProperty : public PreTokenizer {
 public:
  ByProperty(std::uint16_t property, Behavior behavior) : property_(property), behavior_(behavior) {}
  void apply(Pieces& pieces) const override {
    split_by(pieces, behavior_, false, [this](std::string_view text, std::size_t position) -> Match {
      while (position < text.size()) {
        std::size_t after = position;
        if (has(unicode::next(text, after), property_)) return {position, after};
        position = after;
      }
      return {position, position};
    });
  }

 private:
  std::uint16_t property_;
  Behavior behavior_;
};

// \w+|[^\w\s]+
class Whitespace : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    split(pieces, [](std::string_view text, const auto& emit) {
      std::size_t begin = 0;
      int kind = 0;  // of the run that goes on: 0 space, 1 word, 2 neither
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t start = at;
        const std::uint16_t properties = unicode::property_of(unicode::next(text, at));
        const int next_kind = properties & unicode::word ? 1 : properties & unicode::whitespace ? 0 : 2;
        if (next_kind == kind) continue;
        if (kind != 0) emit(begin, start);
        begin = start;
        kind = next_kind;
      }
      if (kind != 0) emit(begin, text.size());
    });
  }
};

class Split : public PreTokenizer {
 public:
  explicit Split(const Json& value) {
    const std::string name = "pre_tokenizer Split";
    expect_keys(value, {"type", "pattern", "behavior", "invert"}, name);
    pattern_ = read_pattern(field(value, "pattern", name), name);
    behavior_ = read_behavior(string_field(value, "behavior", name), name);
    invert_ = bool_field(value, "invert", name);
  }
  Split(Matcher pattern, Behavior behavior) : pattern_(std::move(pattern)), behavior_(behavior) {}
  void apply(Pieces& pieces) const override { split_by(pieces, behavior_, invert_, pattern_); }

 private:
  Matcher pattern_;
  Behavior behavior_;
  bool invert_ = false;
};

class Metaspace : public PreTokenizer {
 public:
  explicit Metaspace(const Json& value) {
    const std::string name = "pre_tokenizer Metaspace";
    expect_keys(value, {"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"}, name);
    replacement_ = string_field(value, "replacement", name);
    const std::string scheme = string_or(value, "prepend_scheme", "always", name);
    if (scheme != "always" && scheme != "first" && scheme != "never") unsupported(name + ": prepend_scheme " + scheme);
    const bool prefix = bool_or(value, "add_prefix_space", true, name);
    if (!prefix && scheme != "never") bad_bundle(name + ": add_prefix_space is false but prepend_scheme is " + scheme);
    always_ = scheme == "always";
    first_ = scheme == "first";
    split_ = bool_or(value, "split", true, name);
    std::size_t end = 0;
    if (!replacement_.empty()) unicode::next(replacement_, end);
    if (replacement_.empty() || end != replacement_.size()) bad_bundle(name + ": replacement must be one character");
  }

  void apply(Pieces& pieces) const override {
    rewrite_spans(pieces, [this](std::string_view old, const Span& span, std::string& text) {
      const bool has_prefix = old[0] == ' ' || old.substr(0, replacement_.size()) == replacement_;
      if ((always_ || (first_ && span.begins_original)) && !has_prefix) text.append(replacement_);
      for (const char c : old) {
        if (c == ' ') {
          text.append(replacement_);
        } else {
          text.push_back(c);
        }
      }
    });
    if (!split_) return;
    split(pieces, [this](std::string_view text, const auto& emit) {
      std::size_t begin = 0;
      while (begin < text.size()) {
        const std::size_t found = text.find(replacement_, begin + 1);
        const std::size_t end = found == std::string_view::npos ? text.size() : found;
        emit(begin, end);
        begin = end;
      }
    });
  }

 private:
  std::string replacement_;
  bool always_, first_, split_;
};

class ByteLevel : public PreTokenizer {
 public:
  explicit ByteLevel(const Json& value) {
    const std::string name = "pre_tokenizer ByteLevel";
    expect_keys(value, {"type", "add_prefix_space", "trim_offsets", "use_regex"}, name);
    add_prefix_space_ = bool_field(value, "add_prefix_space", name);
    use_regex_ = bool_or(value, "use_regex", true, name);
  }

  void apply(Pieces& pieces) const override {
    if (add_prefix_space_) {
      rewrite_spans(pieces, [](std::string_view old, const Span&, std::string& text) {
        if (old[0] != ' ') text.push_back(' ');
        text.append(old);
      });
    }
    if (use_regex_) split_by(pieces, Behavior::isolated, false, match_gpt2);
    rewrite_spans(pieces,
                  [](std::string_view old, const Span&, std::string& text) { append_byte_characters(old, text); });
  }

 private:
  bool add_prefix_space_, use_regex_;
};

class Sequence : public PreTokenizer {
 public:
  explicit Sequence(const Json& value) {
    expect_keys(value, {"type", "pretokenizers"}, "pre_tokenizer Sequence");
    const Json& list = field(value, "pretokenizers", "pre_tokenizer Sequence");
    if (!list.is_array()) bad_bundle("pre_tokenizer Sequence: pretokenizers must be a list");
    for (const Json& item : list) {
      if (item.is_null()) bad_bundle("pre_tokenizer Sequence: null in it");
      parts_.push_back(read_pre_tokenizer(item));
    }
  }
  void apply(Pieces& pieces) const override {
    for (const auto& part : parts_) part->apply(pieces);
  }

 private:
  std::vector<std::unique_ptr<const PreTokenizer>> parts_;
};

std::unique_ptr<const PreTokenizer> read_delimiter(const Json& value, const std::string& name) {
  expect_keys(value, {"type", "delimiter"}, name);
  const Json pattern = {{"String", string_field(value, "delimiter", name)}};
  return std::make_unique<Split>(read_pattern(pattern, name), Behavior::removed);
}

}  // namespace

std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const Json& value) {
  if (value.is_null()) return nullptr;
  const std::string type = type_of(value, "pre_tokenizer");
  const std::string name = "pre_tokenizer " + type;
  if (type == "BertPreTokenizer") {
    expect_keys(value, {"type"}, name);
    return std::make_unique<Bert>();
  }
  if (type == "Whitespace") {
    expect_keys(value, {"type"}, name);
    return std::make_unique<Whitespace>();
  }
  if (type == "WhitespaceSplit") {
    expect_keys(value, {"type"}, name);
    return std::make_unique<ByProperty>(unicode::whitespace, Behavior::removed);
  }
  if (type == "Punctuation") {
    expect_keys(value, {"type", "behavior"}, name);
    const Behavior behavior = read_behavior(string_or(value, "behavior", "Isolated", name), name);
    return std::make_unique<ByProperty>(unicode::punctuation, behavior);
  }
  if (type == "Digits") {
    expect_keys(value, {"type", "individual_digits"}, name);
    const bool individual = bool_field(value, "individual_digits", name);
    return std::make_unique<ByProperty>(unicode::numeric, individual ? Behavior::isolated : Behavior::contiguous);
  }
  if (type == "CharDelimiterSplit") return read_delimiter(value, name);
  if (type == "Split") return std::make_unique<Split>(value);
  if (type == "Metaspace") return std::make_unique<Metaspace>(value);
  if (type == "ByteLevel") return std::make_unique<ByteLevel>(value);
  if (type == "Sequence") return std::make_unique<Sequence>(value);
  unsupported(name + ": not known to this library");
}

}  // namespace mk
