#include "added_tokens.hpp"

#include <algorithm>
#include <utility>

#include "error.hpp"
#include "unicode.hpp"

namespace mk {
namespace {

const std::string name = "added_tokens";

unsigned char first_byte(const std::string& text) { return static_cast<unsigned char>(text[0]); }

bool is_word_before(std::string_view text, std::size_t position) {
  return position > 0 && unicode::has(unicode::previous(text, position), unicode::word);
}

bool is_word_at(std::string_view text, std::size_t position) {
  return position < text.size() && unicode::has(unicode::next(text, position), unicode::word);
}

std::size_t before_spaces(std::string_view text, std::size_t position) {
  while (position > 0) {
    std::size_t before = position;
    if (!unicode::has(unicode::previous(text, before), unicode::whitespace)) break;
    position = before;
  }
  return position;
}

std::size_t after_spaces(std::string_view text, std::size_t position) {
  while (position < text.size()) {
    std::size_t after = position;
    if (!unicode::has(unicode::next(text, after), unicode::whitespace)) break;
    position = after;
  }
  return position;
}

}  // namespace

void AddedTokens::Set::add(Token token) {
  if (token.pattern.empty()) unsupported(name + ": a token that is empty, or is once it is normalized");
  tokens_.push_back(std::move(token));
}

void AddedTokens::Set::sort() {
  std::sort(tokens_.begin(), tokens_.end(), [](const Token& a, const Token& b) {
    if (first_byte(a.pattern) != first_byte(b.pattern)) return first_byte(a.pattern) < first_byte(b.pattern);
    return a.pattern.size() != b.pattern.size() ? a.pattern.size() > b.pattern.size() : a.pattern < b.pattern;
  });
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (i > 0 && tokens_[i].pattern == tokens_[i - 1].pattern)
      unsupported(name + ": two of them match " + tokens_[i].pattern);
    ++first_[first_byte(tokens_[i].pattern) + 1U];
  }
  for (std::size_t byte = 0; byte < 256; ++byte) first_[byte + 1] += first_[byte];
}

const AddedTokens::Token* AddedTokens::Set::at(std::string_view text, std::size_t position) const {
  const auto byte = static_cast<unsigned char>(text[position]);
  for (std::uint32_t i = first_[byte]; i < first_[byte + 1U]; ++i) {
    if (text.compare(position, tokens_[i].pattern.size(), tokens_[i].pattern) == 0) return &tokens_[i];
  }
  return nullptr;
}

template <typename Emit>
void AddedTokens::Set::cut(std::string_view text, const Emit& emit) const {
  std::size_t done = 0;
  for (std::size_t position = 0; !tokens_.empty() && position < text.size();) {
    const Token* token = at(text, position);
    if (token == nullptr) {
      ++position;
      continue;
    }
    std::size_t begin = position, end = position + token->pattern.size();
    position = end;
    if (token->single_word && (is_word_before(text, begin) || is_word_at(text, end))) continue;
    if (token->lstrip) begin = std::max(before_spaces(text, begin), done);
    if (token->rstrip) end = after_spaces(text, end);
    if (done < begin) emit(done, begin, no_id);
    emit(begin, end, token->id);
    done = end;
  }
  if (done != text.size()) emit(done, text.size(), no_id);
}

AddedTokens::AddedTokens(const Json& value, const Model& model, const Normalizer* normalizer) {
  if (!value.is_array()) bad_bundle(name + ": must be a list");
  auto next_id = static_cast<std::int64_t>(model.vocabulary_size());
  for (const Json& item : value) {
    expect_keys(item, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}, name);
    Text content{string_field(item, "content", name), true};
    std::int64_t expected = model.find(content.bytes);
    if (expected == Trie::none) expected = next_id++;
    const std::int64_t id = int_field(item, "id", name);
    if (id != expected) {
      bad_bundle(name + ": " + content.bytes + " has the id " + std::to_string(id) +
                 ", by its vocabulary it would be " + std::to_string(expected));
    }
    const bool normalized = bool_field(item, "normalized", name);
    if (normalized && normalizer != nullptr) normalizer->apply(content);
    (normalized ? normalized_ : raw_)
        .add({content.bytes, static_cast<std::int32_t>(id), bool_field(item, "single_word", name),
              bool_field(item, "lstrip", name), bool_field(item, "rstrip", name)});
  }
  raw_.sort();
  normalized_.sort();
}

Pieces AddedTokens::extract(std::string_view text, const Normalizer* normalizer) const {
  Pieces pieces;
  pieces.text.reserve(text.size() + 16);
  raw_.cut(text, [&](std::size_t begin, std::size_t end, std::int32_t id) {
    if (begin >= end) return;
    if (id != no_id) {
      pieces.spans.push_back({pieces.text.size(), pieces.text.size(), id, false});
      return;
    }
    Text part{std::string(text.substr(begin, end - begin)), begin == 0};
    if (normalizer != nullptr) normalizer->apply(part);
    const std::size_t shift = pieces.text.size();
    pieces.text += part.bytes;
    normalized_.cut(part.bytes, [&](std::size_t from, std::size_t to, std::int32_t found) {
      if (from < to) pieces.spans.push_back({shift + from, shift + to, found, part.begins_original && from == 0});
    });
  });
  return pieces;
}

}  // namespace mk
