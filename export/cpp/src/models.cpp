#include "models.hpp"

#include "error.hpp"

namespace mk {

std::unique_ptr<const Model> read_model(const Json& value) {
  const std::string type = type_of(value, "model");
  if (type == "WordPiece") return read_word_piece(value);
  if (type == "BPE") return read_bpe(value);
  if (type == "Unigram") return read_unigram(value);
  unsupported("model " + type + ": not known to this library");
}

Trie read_vocabulary(const Json& value, const std::string& name) {
  if (!value.is_object()) bad_bundle(name + ": vocab must be an object");
  constexpr std::uint64_t most = 0x7FFFFFFF;
  std::vector<Trie::Entry> entries;
  entries.reserve(value.size());
  for (auto item = value.begin(); item != value.end(); ++item) {
    if (!item->is_number_unsigned() || item->get<std::uint64_t>() > most)
      bad_bundle(name + ": the id of " + item.key());
    entries.emplace_back(item.key(), item->get<std::int32_t>());
  }
  return Trie(std::move(entries));
}

std::vector<std::int32_t> byte_tokens(const Trie& vocabulary) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::vector<std::int32_t> ids;
  for (int byte = 0; byte < 256; ++byte) {
    ids.push_back(vocabulary.find(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">"));
  }
  return ids;
}

}  // namespace mk
