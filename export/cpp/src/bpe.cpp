#include <cstdint>
#include <queue>
#include <string>
#include <utility>

#include "error.hpp"
#include "models.hpp"
#include "unicode.hpp"

namespace mk {
namespace {

const std::string name = "model BPE";

// Pairs of ids to their merge, by open addressing.
class Merges {
 public:
  struct Merge {
    std::int32_t rank;
    std::int32_t id;
  };

  explicit Merges(std::size_t count) {
    std::size_t size = 16;
    while (size < 2 * count) size *= 2;
    slots_.resize(size, {empty, {0, 0}});
  }

  void set(std::int32_t left, std::int32_t right, Merge merge) {
    slots_[place(key(left, right))] = {key(left, right), merge};
  }

  const Merge* find(std::int32_t left, std::int32_t right) const {
    const Slot& slot = slots_[place(key(left, right))];
    return slot.key == empty ? nullptr : &slot.merge;
  }

 private:
  struct Slot {
    std::uint64_t key;
    Merge merge;
  };
  static constexpr std::uint64_t empty = ~std::uint64_t{0};  // no pair: ids are below 2^31

  static std::uint64_t key(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t place(std::uint64_t key) const {
    const std::uint64_t mixed = key * 0x9E3779B97F4A7C15U;
    std::size_t at = (mixed >> 32 ^ mixed) & (slots_.size() - 1);
    while (slots_[at].key != empty && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
    return at;
  }

  std::vector<Slot> slots_;
};

constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

struct Symbol {
  std::int32_t id;
  std::size_t previous, next;
  bool gone;
};

struct Candidate {
  std::int32_t rank;
  std::size_t position;
  std::int32_t id;
  bool operator<(const Candidate& other) const {  // the queue hands out the largest: lowest rank, then leftmost
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

class Bpe : public Model {
 public:
  explicit Bpe(const Json& value)
      : vocabulary_(read_vocabulary(field(value, "vocab", name), name)),
        size_(field(value, "vocab", name).size()),
        merges_(field(value, "merges", name).size()) {
    expect_keys(value,
                {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                 "byte_fallback", "ignore_merges", "vocab", "merges"},
                name);
    if (!is_absent(value, "dropout") && value["dropout"] != 0) unsupported(name + ": dropout");
    prefix_ = string_or(value, "continuing_subword_prefix", "", name);
    suffix_ = string_or(value, "end_of_word_suffix", "", name);
    fuse_unknown_ = bool_or(value, "fuse_unk", false, name);
    ignore_merges_ = bool_or(value, "ignore_merges", false, name);
    if (bool_or(value, "byte_fallback", false, name)) bytes_ = byte_tokens(vocabulary_);
    if (!is_absent(value, "unk_token")) unknown_ = known(string_field(value, "unk_token", name));
    read_merges(value["merges"]);
  }

  void tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const override {
    if (ignore_merges_) {
      const std::int32_t whole = vocabulary_.find(piece);
      if (whole != Trie::none) {
        ids.push_back(whole);
        return;
      }
    }
    std::vector<Symbol> symbols = characters(piece);
    merge(symbols);
    for (const Symbol& symbol : symbols) {
      if (!symbol.gone) ids.push_back(symbol.id);
    }
  }

  std::int32_t find(std::string_view token) const override { return vocabulary_.find(token); }
  std::size_t vocabulary_size() const override { return size_; }

 private:
  std::int32_t known(const std::string& token) const {
    const std::int32_t id = vocabulary_.find(token);
    if (id == Trie::none) bad_bundle(name + ": the token " + token + " is not in its vocabulary");
    return id;
  }

  void read_merges(const Json& list) {
    if (!list.is_array()) bad_bundle(name + ": merges must be a list");
    std::int32_t rank = 0;
    for (const Json& item : list) {
      std::string left, right;
      if (item.is_string()) {
        const std::string both = item.get<std::string>();
        if (both.rfind("#version", 0) == 0) continue;
        const std::size_t space = both.find(' ');
        if (space == std::string::npos || both.find(' ', space + 1) != std::string::npos)
          bad_bundle(name + ": the merge " + both);
        left = both.substr(0, space);
        right = both.substr(space + 1);
      } else if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
        left = item[0].get<std::string>();
        right = item[1].get<std::string>();
      } else {
        bad_bundle(name + ": a merge must be a pair of tokens");
      }
      if (right.size() < prefix_.size()) bad_bundle(name + ": the merge of " + right + " lacks the prefix");
      const std::int32_t merged = known(left + right.substr(prefix_.size()));
      merges_.set(known(left), known(right), {rank++, merged});
    }
  }

  // Each character as a symbol; unknown ones as bytes, as the unknown token, or not at all.
  std::vector<Symbol> characters(std::string_view piece) const {
    std::vector<Symbol> symbols;
    symbols.reserve(piece.size());
    const auto add = [&](std::int32_t id) {
      const std::size_t at = symbols.size();
      if (at > 0) symbols.back().next = at;
      symbols.push_back({id, at > 0 ? at - 1 : nowhere, nowhere, false});
    };
    bool pending = false;  // an unknown token that later unknown characters may join
    std::string decorated;
    for (std::size_t begin = 0; begin < piece.size();) {
      std::size_t end = begin;
      unicode::next(piece, end);
      std::string_view token = piece.substr(begin, end - begin);
      if (!prefix_.empty() || !suffix_.empty()) {
        decorated = (begin > 0 ? prefix_ : "") + std::string(token) + (end == piece.size() ? suffix_ : "");
        token = decorated;
      }
      begin = end;
      const std::int32_t id = vocabulary_.find(token);
      if (id != Trie::none) {
        if (pending) add(unknown_);
        pending = false;
        add(id);
      } else if (!add_bytes(token, add) && unknown_ != Trie::none) {
        if (pending && !fuse_unknown_) add(unknown_);
        pending = true;
      }
    }
    if (pending) add(unknown_);
    return symbols;
  }

  template <typename Add>
  bool add_bytes(std::string_view token, const Add& add) const {
    if (bytes_.empty()) return false;
    for (const char c : token) {
      if (bytes_[static_cast<unsigned char>(c)] == Trie::none) return false;
    }
    for (const char c : token) add(bytes_[static_cast<unsigned char>(c)]);
    return true;
  }

  void merge(std::vector<Symbol>& symbols) const {
    std::vector<Candidate> found;
    found.reserve(symbols.size());
    const auto candidate = [&](std::size_t left, std::size_t right, const auto& keep) {
      const Merges::Merge* pair = merges_.find(symbols[left].id, symbols[right].id);
      if (pair != nullptr) keep(Candidate{pair->rank, left, pair->id});
    };
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      candidate(i, i + 1, [&](const Candidate& c) { found.push_back(c); });
    }
    std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(found));
    while (!queue.empty()) {
      const Candidate top = queue.top();
      queue.pop();
      Symbol& left = symbols[top.position];
      if (left.gone || left.next == nowhere) continue;
      Symbol& right = symbols[left.next];
      const Merges::Merge* pair = merges_.find(left.id, right.id);
      if (pair == nullptr || pair->id != top.id) continue;  // one of the two has been merged since
      left.id = top.id;
      right.gone = true;
      left.next = right.next;
      const auto keep = [&](const Candidate& c) { queue.push(c); };
      if (left.next != nowhere) symbols[left.next].previous = top.position;
      if (left.previous != nowhere) candidate(left.previous, top.position, keep);
      if (left.next != nowhere) candidate(top.position, left.next, keep);
    }
  }

  Trie vocabulary_;
  std::size_t size_;
  Merges merges_;
  std::string prefix_, suffix_;
  std::int32_t unknown_ = Trie::none;
  bool fuse_unknown_, ignore_merges_;
  std::vector<std::int32_t> bytes_;  // empty without byte_fallback
};

}  // namespace

std::unique_ptr<const Model> read_bpe(const Json& value) { return std::make_unique<Bpe>(value); }

}  // namespace mk
