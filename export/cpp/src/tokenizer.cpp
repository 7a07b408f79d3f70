#include "tokenizer.hpp"

#include <algorithm>
#include <string>

#include "error.hpp"

namespace mk {
namespace {

constexpr const char* name = "tokenizer.json";

const Json& part(const Json& value, const char* key) {
  static const Json nothing;
  return is_absent(value, key) ? nothing : value[key];
}

const Json& checked(const Json& value) {
  expect_keys(value,
              {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
               "decoder", "model"},
              name);
  if (string_or(value, "version", "1.0", name) != "1.0") unsupported(std::string(name) + ": its version is not 1.0");
  return value;
}

std::set<std::int32_t> special_ids(const Json& added) {
  std::set<std::int32_t> ids;
  for (const Json& item : added) {  // each has been read before
    if (bool_or(item, "special", false, name)) ids.insert(static_cast<std::int32_t>(int_field(item, "id", name)));
  }
  return ids;
}

std::int32_t largest_id_of(const Json& value) {  // each part has been read before
  const Json& vocabulary = field(field(value, "model", name), "vocab", name);
  std::int64_t largest = vocabulary.is_array() ? static_cast<std::int64_t>(vocabulary.size()) - 1 : 0;
  if (vocabulary.is_object()) {
    for (const Json& id : vocabulary) largest = std::max(largest, id.get<std::int64_t>());
  }
  for (const Json& item : part(value, "added_tokens")) largest = std::max(largest, int_field(item, "id", name));
  return static_cast<std::int32_t>(largest);
}

}  // namespace

Tokenizer::Tokenizer(const Json& value, std::size_t max_length, bool cuts_left)
    : normalizer_(read_normalizer(part(checked(value), "normalizer"))),
      pre_tokenizer_(read_pre_tokenizer(part(value, "pre_tokenizer"))),
      model_(read_model(field(value, "model", name))),
      added_(is_absent(value, "added_tokens") ? Json::array() : value["added_tokens"], *model_, normalizer_.get()),
      post_processor_(part(value, "post_processor")),
      special_(special_ids(part(value, "added_tokens"))),
      largest_id_(largest_id_of(value)),
      cuts_left_(cuts_left) {
  if (max_length < post_processor_.added()) {
    bad_bundle("max_length " + std::to_string(max_length) + " leaves no room for the " +
               std::to_string(post_processor_.added()) + " special tokens");
  }
  room_ = max_length - post_processor_.added();
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, std::size_t* cut) const {
  Pieces pieces = added_.extract(text, normalizer_.get());
  if (pre_tokenizer_ != nullptr) pre_tokenizer_->apply(pieces);
  std::vector<std::int32_t> ids = post_processor_.before();
  const auto start = static_cast<std::ptrdiff_t>(ids.size());
  const std::size_t limit = ids.size() + room_;
  for (const Span& span : pieces.spans) {
    if (ids.size() >= limit && !cuts_left_ && cut == nullptr) break;
    if (span.id != no_id) {
      ids.push_back(span.id);
    } else {
      model_->tokenize(pieces.view(span), ids);
    }
  }
  if (cut != nullptr) *cut = ids.size() - std::min(ids.size(), limit);
  if (ids.size() > limit && cuts_left_) {
    ids.erase(ids.begin() + start, ids.begin() + start + static_cast<std::ptrdiff_t>(ids.size() - limit));
  }
  if (ids.size() > limit) ids.resize(limit);
  ids.insert(ids.end(), post_processor_.after().begin(), post_processor_.after().end());
  return ids;
}

std::size_t Tokenizer::prompt_length(std::string_view prompt) const {
  if (prompt.empty()) return 0;
  const std::vector<std::int32_t> ids = encode(prompt);
  return ids.size() - (!ids.empty() && special_.count(ids.back()) > 0 ? 1 : 0);
}

}  // namespace mk
