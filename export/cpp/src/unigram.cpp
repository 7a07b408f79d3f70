#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "error.hpp"
#include "models.hpp"
#include "unicode.hpp"

namespace mk {
namespace {

constexpr double unknown_penalty = 10.0;
const std::string name = "model Unigram";

Trie pieces_of(const Json& vocabulary) {
  if (!vocabulary.is_array()) bad_bundle(name + ": vocab must be a list");
  std::vector<Trie::Entry> entries;
  entries.reserve(vocabulary.size());
  for (const Json& item : vocabulary) {
    if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_number()) {
      bad_bundle(name + ": an entry of vocab must be a pair of a piece and its score");
    }
    entries.emplace_back(item[0].get_ref<const std::string&>(), static_cast<std::int32_t>(entries.size()));
  }
  return Trie(std::move(entries));
}

class Unigram : public Model {
 public:
  explicit Unigram(const Json& value) : pieces_(pieces_of(field(value, "vocab", name))) {
    expect_keys(value, {"type", "unk_id", "vocab", "byte_fallback"}, name);
    double lowest = std::numeric_limits<double>::infinity();
    for (const Json& item : value["vocab"]) {
      scores_.push_back(item[1].get<double>());
      lowest = std::min(lowest, scores_.back());
    }
    unknown_score_ = lowest - unknown_penalty;
    if (!is_absent(value, "unk_id")) {
      unknown_ = static_cast<std::int32_t>(int_field(value, "unk_id", name));
      if (static_cast<std::size_t>(unknown_) >= scores_.size()) bad_bundle(name + ": unk_id is beyond its vocabulary");
    }
    if (bool_or(value, "byte_fallback", false, name)) bytes_ = byte_tokens(pieces_);
  }

  void tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const override {
    const std::vector<Node> best = best_ends(piece);
    const std::size_t kept = ids.size();
    for (std::size_t end = piece.size(); end > 0;) {  // from the end, so what is added here is turned round below
      std::size_t begin = best[end].begin;
      if (best[end].id != unknown_) {
        ids.push_back(best[end].id);
      } else {
        while (begin > 0 && best[begin].id == unknown_) begin = best[begin].begin;
        add_unknown(piece.substr(begin, end - begin), ids);
      }
      end = begin;
    }
    std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(kept), ids.end());
  }

  std::int32_t find(std::string_view token) const override { return pieces_.find(token); }
  std::size_t vocabulary_size() const override { return scores_.size(); }

 private:
  struct Node {
    double score = 0;
    std::size_t begin = unreached;
    std::int32_t id = Trie::none;
  };
  static constexpr std::size_t unreached = static_cast<std::size_t>(-1);

  // For each position, the last token of the best way there.
  std::vector<Node> best_ends(std::string_view piece) const {
    std::vector<Node> best(piece.size() + 1);
    const auto offer = [&](std::size_t begin, std::size_t end, double score, std::int32_t id) {
      Node& node = best[end];
      const double total = score + best[begin].score;
      if (node.begin == unreached || total > node.score) node = {total, begin, id};
    };
    for (std::size_t begin = 0; begin < piece.size();) {
      std::size_t one = begin;
      unicode::next(piece, one);
      bool single = false;
      std::uint32_t node = Trie::root;
      for (std::size_t at = begin; at < piece.size();) {
        node = pieces_.child(node, piece[at++]);
        if (node == Trie::no_node) break;
        const std::int32_t id = pieces_.value(node);
        if (id == Trie::none) continue;
        offer(begin, at, scores_[static_cast<std::size_t>(id)], id);
        single |= at == one;
      }
      if (!single) {
        if (unknown_ == Trie::none)
          throw Error(Status::runtime_error, name + ": a character is unknown and there is no unk_id");
        offer(begin, one, unknown_score_, unknown_);
      }
      begin = one;
    }
    return best;
  }

  // Adds the ids of a run of unknown characters, last first.
  void add_unknown(std::string_view run, std::vector<std::int32_t>& ids) const {
    const std::int32_t id = pieces_.find(run);
    const auto lacks_token = [this](char c) { return bytes_[static_cast<unsigned char>(c)] == Trie::none; };
    if (id != Trie::none || bytes_.empty() || std::any_of(run.begin(), run.end(), lacks_token)) {
      ids.push_back(id != Trie::none ? id : unknown_);
      return;
    }
    for (auto c = run.rbegin(); c != run.rend(); ++c) ids.push_back(bytes_[static_cast<unsigned char>(*c)]);
  }

  Trie pieces_;
  std::vector<double> scores_;
  double unknown_score_;
  std::int32_t unknown_ = Trie::none;
  std::vector<std::int32_t> bytes_;  // empty without byte_fallback
};

}  // namespace

std::unique_ptr<const Model> read_unigram(const Json& value) { return std::make_unique<Unigram>(value); }

}  // namespace mk
