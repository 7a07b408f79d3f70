#include "regex.hpp"

#include <algorithm>

#include "error.hpp"
#include "unicode.hpp"

namespace mk {
namespace {

constexpr std::size_t patience = 2'000;                    // steps of one search before states are remembered
constexpr std::size_t most_states = std::size_t{1} << 30;  // that are remembered, a bit each
constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

}  // namespace

// Backtracking. Once a search has taken long, each state, a place in the code and one in the text, is tried once more
// at the most: where it was tried before and the search still goes on, it leads nowhere. That makes the time linear.
// Source: the bit-state matcher of RE2 (Cox 2010, "Regular Expression Matching in the Wild").
class Regex::Search {
 public:
  // Looks at `text` from `first` on, and remembers nothing beyond `last`.
  Search(const Regex& regex, std::string_view text, std::size_t first, std::size_t last)
      : regex_(regex), code_(regex.code_), sets_(regex.sets_), text_(text), first_(first), width_(last - first + 1) {}

  // Returns where a match that begins at `position` ends, or `nowhere`.
  std::size_t match(std::uint32_t from, std::size_t position) {
    const std::size_t base = stack_.size();
    stack_.push_back({from, position});
    while (stack_.size() > base) {
      State state = stack_.back();
      stack_.pop_back();
      while (is_new(state)) {
        const Instruction& one = code_[state.place];
        if (one.op == Op::accept) {
          stack_.resize(base);
          return state.position;
        }
        if (!step(one, state)) break;
      }
    }
    return nowhere;
  }

 private:
  struct State {
    std::uint32_t place;
    std::size_t position;
  };

  bool is_new(const State& state) {
    if (++steps_ < patience) return true;
    if (tried_.empty()) {
      if (code_.size() > most_states / width_)
        unsupported("a text of " + std::to_string(text_.size()) + " bytes, for a regular expression of its tokenizer");
      tried_.resize(code_.size() * width_);
    }
    const std::size_t bit = state.place * width_ + state.position - first_;
    if (tried_[bit]) return false;
    tried_[bit] = true;
    return true;
  }

  bool step(const Instruction& one, State& state) {
    switch (one.op) {
      case Op::set:
        if (!takes(one.x, state.position)) return false;
        break;
      case Op::possessive:
        for (bool more = true; more;) more = takes(one.x, state.position) && one.y == 0;
        break;
      case Op::split:
        stack_.push_back({one.y, state.position});
        state.place = one.x;
        return true;
      case Op::jump:
        state.place = one.x;
        return true;
      case Op::ahead:
        if (is_ahead(state.place + 1, state.position) == (one.y != 0)) return false;
        state.place = one.x;
        return true;
      default:
        if (!holds(one, state.position)) return false;
    }
    ++state.place;
    return true;
  }

  bool is_ahead(std::uint32_t body, std::size_t position) const {
    if (code_[body].op == Op::set && code_[body + 1].op == Op::accept) return takes(code_[body].x, position);
    const std::size_t last = std::min(text_.size(), position + 4 * Regex::most_ahead);
    return Search(regex_, text_, position, last).match(body, position) != nowhere;
  }

  bool takes(std::uint32_t set, std::size_t& position) const {
    if (position == text_.size()) return false;
    std::size_t after = position;
    if (!sets_[set].has(unicode::next(text_, after))) return false;
    position = after;
    return true;
  }

  bool holds(const Instruction& one, std::size_t position) const {
    const bool begins = position == 0, ends = position == text_.size();
    switch (one.op) {
      case Op::text_begin:
        return begins;
      case Op::text_end:
        return ends;
      case Op::line_begin:
        return begins || (text_[position - 1] == '\n' && !ends);
      case Op::line_end:
        return ends || text_[position] == '\n';
      case Op::behind:
        return (!begins && sets_[one.x].has(before(position))) != (one.y != 0);
      default: {
        const bool left = !begins && is_word(before(position)), right = !ends && is_word(after(position));
        return (left != right) != (one.y != 0);
      }
    }
  }

  static bool is_word(char32_t c) { return (unicode::category_of(c) & unicode::category_regex_word) != 0; }
  char32_t before(std::size_t position) const { return unicode::previous(text_, position); }
  char32_t after(std::size_t position) const { return unicode::next(text_, position); }

  const Regex& regex_;
  const std::vector<Instruction>& code_;
  const std::vector<CodePoints>& sets_;
  std::string_view text_;
  std::vector<State> stack_;
  std::vector<bool> tried_;
  std::size_t steps_ = 0;
  std::size_t first_, width_;  // of the text that is remembered, in bytes
};

Match Regex::find(std::string_view text, std::size_t position) const {
  Search search(*this, text, position, text.size());
  while (position < text.size()) {
    const std::size_t end = search.match(0, position);
    if (end != nowhere) return {position, end};
    unicode::next(text, position);
  }
  return {position, position};
}

}  // namespace mk
