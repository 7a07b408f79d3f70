#include <cstdint>
#include <string>
#include <utility>

#include "error.hpp"
#include "models.hpp"

namespace mk {
namespace {

const std::string name = "model WordPiece";

class WordPiece : public Model {
 public:
  explicit WordPiece(const Json& value)
      : vocabulary_(read_vocabulary(field(value, "vocab", name), name)), size_(field(value, "vocab", name).size()) {
    expect_keys(value, {"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"}, name);
    const std::string unknown = string_field(value, "unk_token", name);
    unknown_ = vocabulary_.find(unknown);
    if (unknown_ == Trie::none) bad_bundle(name + ": unk_token " + unknown + " is not in its vocabulary");
    inside_word_ = vocabulary_.walk(Trie::root, string_field(value, "continuing_subword_prefix", name));
    longest_word_ = static_cast<std::size_t>(int_field(value, "max_input_chars_per_word", name));
  }

  void tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const override {
    const std::size_t kept = ids.size();
    bool whole = !is_too_long(piece);
    for (std::size_t begin = 0; whole && begin < piece.size();) {
      std::size_t end = begin;
      std::int32_t longest = Trie::none;
      std::uint32_t node = begin == 0 ? Trie::root : inside_word_;
      for (std::size_t at = begin; node != Trie::no_node && at < piece.size();) {
        node = vocabulary_.child(node, piece[at++]);
        if (node == Trie::no_node || vocabulary_.value(node) == Trie::none) continue;
        longest = vocabulary_.value(node);
        end = at;
      }
      whole = longest != Trie::none;
      ids.push_back(longest);
      begin = end;
    }
    if (whole) return;
    ids.resize(kept);
    ids.push_back(unknown_);
  }

  std::int32_t find(std::string_view token) const override { return vocabulary_.find(token); }
  std::size_t vocabulary_size() const override { return size_; }

 private:
  bool is_too_long(std::string_view piece) const {
    if (piece.size() <= longest_word_) return false;
    std::size_t count = 0;
    for (const char c : piece) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return count > longest_word_;
  }

  Trie vocabulary_;
  std::size_t size_;
  std::int32_t unknown_;
  std::uint32_t inside_word_;  // the node of the prefix that marks a continuing piece
  std::size_t longest_word_;   // in characters; longer words are unknown
};

}  // namespace

std::unique_ptr<const Model> read_word_piece(const Json& value) { return std::make_unique<WordPiece>(value); }

}  // namespace mk
