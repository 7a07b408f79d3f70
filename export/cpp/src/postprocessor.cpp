#include "postprocessor.hpp"

#include <string>

#include "error.hpp"

namespace mk {
namespace {

// Reads ["[SEP]", 102].
std::int32_t id_of_pair(const Json& value, const char* key, const std::string& name) {
  const Json& pair = field(value, key, name);
  if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string())
    bad_bundle(name + ": " + key + " must be a token and its id");
  return static_cast<std::int32_t>(int_field({{"id", pair[1]}}, "id", name));
}

}  // namespace

PostProcessor::PostProcessor(const Json& value) {
  if (!value.is_null()) read(value);
}

void PostProcessor::read(const Json& value) {
  const std::string type = type_of(value, "post_processor");
  const std::string name = "post_processor " + type;
  if (type == "TemplateProcessing") {
    read_template(value);
  } else if (type == "BertProcessing") {
    expect_keys(value, {"type", "sep", "cls"}, name);
    surround({id_of_pair(value, "cls", name)}, {id_of_pair(value, "sep", name)});
  } else if (type == "RobertaProcessing") {
    expect_keys(value, {"type", "sep", "cls", "trim_offsets", "add_prefix_space"}, name);
    surround({id_of_pair(value, "cls", name)}, {id_of_pair(value, "sep", name)});
  } else if (type == "ByteLevel") {  // moves offsets only
    expect_keys(value, {"type", "add_prefix_space", "trim_offsets", "use_regex"}, name);
  } else if (type == "Sequence") {
    expect_keys(value, {"type", "processors"}, name);
    const Json& list = field(value, "processors", name);
    if (!list.is_array()) bad_bundle(name + ": processors must be a list");
    for (const Json& item : list) read(item);
  } else {
    unsupported(name + ": not known to this library");
  }
}

void PostProcessor::read_template(const Json& value) {
  const std::string name = "post_processor TemplateProcessing";
  expect_keys(value, {"type", "single", "pair", "special_tokens"}, name);
  const Json& tokens = field(value, "special_tokens", name);
  const Json& single = field(value, "single", name);
  if (!single.is_array()) bad_bundle(name + ": single must be a list");
  std::vector<std::int32_t> before, after;
  bool seen_text = false;
  for (const Json& piece : single) {
    expect_keys(piece, {"SpecialToken", "Sequence"}, name);
    if (piece.contains("Sequence")) {
      const std::string id = string_field(piece["Sequence"], "id", name);
      if (seen_text || id != "A") unsupported(name + ": single must hold the text A once");
      seen_text = true;
      continue;
    }
    const std::string id = string_field(field(piece, "SpecialToken", name), "id", name);
    const Json& ids = field(field(tokens, id.c_str(), name), "ids", name);
    if (!ids.is_array()) bad_bundle(name + ": the ids of " + id + " must be a list");
    for (const Json& number : ids) {
      (seen_text ? after : before).push_back(static_cast<std::int32_t>(int_field({{"ids", number}}, "ids", name)));
    }
  }
  if (!seen_text) unsupported(name + ": single must hold the text A once");
  surround(before, after);
}

void PostProcessor::surround(const std::vector<std::int32_t>& before, const std::vector<std::int32_t>& after) {
  before_.insert(before_.begin(), before.begin(), before.end());
  after_.insert(after_.end(), after.begin(), after.end());
}

}  // namespace mk
