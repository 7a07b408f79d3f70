// From a pattern to the code that `Regex::Search` runs: recursive descent, each part emitting its instructions.
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "regex.hpp"
#include "regex_reader.hpp"

namespace mk {
namespace {

constexpr std::size_t most_instructions = 4'000;
constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

bool is_ascii_letter(char32_t c) { return (c | 0x20) >= U'a' && (c | 0x20) <= U'z'; }

}  // namespace

class RegexParser : private RegexReader {
 public:
  RegexParser(Regex& regex, std::string_view pattern, const std::string& name)
      : RegexReader(pattern, name), regex_(regex) {}

  void parse() {
    const Length length = alternatives();
    if (!done()) refuse("a ) without its (");
    if (length.least == 0) refuse("it matches an empty text");
    emit(Regex::Op::accept);
  }

 private:
  using Op = Regex::Op;
  struct Length {
    std::size_t least = 0, most = 0;  // code points that are matched
  };

  // ---- emitting

  std::uint32_t here() const { return static_cast<std::uint32_t>(regex_.code_.size()); }
  std::uint32_t emit(Op op, std::size_t x = 0, std::size_t y = 0) {
    if (regex_.code_.size() >= most_instructions) refuse("it is too long");
    regex_.code_.push_back({op, static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y)});
    return here() - 1;
  }
  std::uint32_t keep(CodePoints set) {
    regex_.sets_.push_back(std::move(set));
    return static_cast<std::uint32_t>(regex_.sets_.size() - 1);
  }
  // Makes room for one instruction at `place`, and moves the targets of what follows along.
  void open(std::uint32_t place) {
    emit(Op::jump);
    auto& code = regex_.code_;
    code.pop_back();
    code.insert(code.begin() + place, Regex::Instruction{Op::jump});
    for (std::size_t i = place + 1; i < code.size(); ++i) shift(code[i], 1);
  }
  static void shift(Regex::Instruction& one, std::size_t by) {
    if (one.op == Op::split || one.op == Op::jump || one.op == Op::ahead) one.x += static_cast<std::uint32_t>(by);
    if (one.op == Op::split) one.y += static_cast<std::uint32_t>(by);
  }
  // Appends a copy of the code from `begin` to `end`.
  void repeat(std::uint32_t begin, std::uint32_t end) {
    const std::size_t by = here() - begin;
    for (std::uint32_t i = begin; i < end; ++i) {
      Regex::Instruction one = regex_.code_[i];
      shift(one, by);
      emit(one.op, one.x, one.y);
    }
  }

  // ---- the grammar

  Length alternatives() {
    if (++depth_ > deepest) refuse("too many groups in one another");
    const bool ignore_case = ignore_case_, any_line_end = dot_takes_line_end_;
    std::uint32_t begin = here();
    Length length = sequence();
    std::vector<std::uint32_t> ends;
    while (take(U"|")) {
      open(begin);
      ends.push_back(emit(Op::jump));
      regex_.code_[begin] = {Op::split, begin + 1, here()};
      begin = here();
      const Length other = sequence();
      length = {std::min(length.least, other.least), std::max(length.most, other.most)};
    }
    for (const std::uint32_t end : ends) regex_.code_[end].x = here();
    ignore_case_ = ignore_case;  // of a flag that stood in the middle
    dot_takes_line_end_ = any_line_end;
    --depth_;
    return length;
  }

  Length sequence() {
    Length whole;
    letters_.clear();
    while (!done() && peek() != U'|' && peek() != U')') {
      const std::uint32_t begin = here();
      Length one = atom();
      one = repeated(begin, one);
      whole.least += one.least;
      whole.most = one.most == unbounded || whole.most == unbounded ? unbounded : whole.most + one.most;
    }
    return whole;
  }

  Length atom() {
    const char32_t c = get();
    switch (c) {
      case U'(':
        return group();
      case U'[':
        letters_.clear();
        return one_of(char_class());
      case U'.':
        letters_.clear();
        return one_of(dot_takes_line_end_ ? CodePoints::all() : CodePoints::of(U'\n', U'\n').inverted());
      case U'^':
        return assertion(Op::line_begin);
      case U'$':
        return assertion(Op::line_end);
      case U'\\':
        return escape();
      case U'*':
      case U'+':
      case U'?':
        refuse("nothing to repeat");
      default:
        return literal(c);
    }
  }

  Length assertion(Op op, bool negative = false) {
    letters_.clear();
    emit(op, 0, negative);
    return {0, 0};
  }

  Length literal(char32_t c) {
    CodePoints set = CodePoints::of(c, c);
    if (ignore_case_) {
      if (c >= 128) refuse("a letter beyond ASCII in either case");
      note_letter(c);
      set = with_both_cases(set);
    }
    return one_of(std::move(set));
  }

  // Two letters that together are one in another case, as ss is ß, match that one too; those are left to Oniguruma.
  void note_letter(char32_t c) {
    letters_.push_back(is_ascii_letter(c) ? c | 0x20 : c);
    if (letters_.size() < 2) return;
    const std::u32string last = letters_.substr(letters_.size() - 2);
    for (const std::u32string_view pair : {U"ss", U"ff", U"fi", U"fl", U"st"}) {
      if (last == pair) refuse("two letters in either case that may be one");
    }
  }

  Length one_of(CodePoints set) {
    emit(Op::set, keep(std::move(set)));
    return {1, 1};
  }

  Length group() {
    if (!take(U"?")) return closed();
    if (take(U":")) return closed();
    if (take(U"=")) return ahead(false);
    if (take(U"!")) return ahead(true);
    if (take(U"<=")) return behind(false);
    if (take(U"<!")) return behind(true);
    const bool ignore_case = ignore_case_, any_line_end = dot_takes_line_end_;
    bool on = true;
    while (peek() != U':' && peek() != U')') {
      const char32_t flag = get();
      if (flag == U'-') {
        on = false;
      } else if (flag == U'i') {
        ignore_case_ = on;
      } else if (flag == U'm') {
        dot_takes_line_end_ = on;
      } else {
        refuse("a group of this kind");
      }
    }
    if (get() == U')') {  // from here to the end of the group around it, alternatives included
      return done() || peek() == U')' ? Length() : alternatives();
    }
    const Length length = closed();
    ignore_case_ = ignore_case;
    dot_takes_line_end_ = any_line_end;
    return length;
  }

  Length closed() {
    const Length length = alternatives();
    if (!take(U")")) refuse("a ( without its )");
    letters_.clear();
    return length;
  }

  Length ahead(bool negative) {
    const std::uint32_t begin = emit(Op::ahead, 0, negative);
    const Length length = closed();
    if (length.most > Regex::most_ahead) refuse("it looks ahead for more than a few characters");
    emit(Op::accept);
    regex_.code_[begin].x = here();
    return {0, 0};
  }

  Length behind(bool negative) {
    const std::uint32_t begin = here();
    const Length length = closed();
    if (length.least != 1 || length.most != 1 || here() != begin + 1) refuse("it looks back for more than a character");
    regex_.code_[begin] = {Op::behind, regex_.code_[begin].x, negative};
    return {0, 0};
  }

  Length escape() {
    const char32_t c = peek();
    const std::optional<Op> place = c == U'A' ? std::optional(Op::text_begin)
                                    : c == U'z' ? std::optional(Op::text_end)
                                    : c == U'b' || c == U'B' ? std::optional(Op::word_border)
                                                             : std::nullopt;
    if (place) {
      ++at_;
      return assertion(*place, c == U'B');
    }
    std::optional<char32_t> single;
    CodePoints set = escaped(single);
    if (single) return literal(*single);
    letters_.clear();
    return one_of(std::move(set));
  }

  // ---- repeats

  // Reads the quantifiers of what stands from `begin` on, and repeats it.
  Length repeated(std::uint32_t begin, Length one) {
    for (bool first = true, after_braces = false;; first = false) {
      std::size_t least = 0, most = 0;
      bool braces = false;
      if (!quantifier(least, most, braces)) return one;
      letters_.clear();
      // After braces a plus repeats what they repeat; elsewhere it would be possessive.
      if (!first && !after_braces) refuse("a repeat of a repeat");
      after_braces = braces;
      if (begin == here() || one.most == 0) refuse("a repeat of nothing");
      if (one.least == 0) refuse("a repeat of what may be nothing");
      if (!braces && take(U"+")) {
        possessive(begin, least, most);
      } else {
        if (braces && least == most && peek() == U'?') refuse("a repeat that may be lazy or left out");
        loop(begin, least, most, take(U"?"));
      }
      one.least *= least;
      one.most = most == unbounded || one.most == unbounded ? unbounded : one.most * most;
    }
  }

  bool quantifier(std::size_t& least, std::size_t& most, bool& braces) {
    const char32_t c = peek();
    if (c == U'*' || c == U'+' || c == U'?') {
      ++at_;
      least = c == U'+';
      most = c == U'?' ? 1 : unbounded;
      return true;
    }
    if (c != U'{') return false;
    ++at_;
    braces = true;
    const std::optional<std::size_t> low = number();
    const bool comma = take(U",");
    const std::optional<std::size_t> high = comma ? number() : low;
    if (!take(U"}") || (!low && !high)) refuse("a brace that is no repeat");
    least = low.value_or(0);
    most = high.value_or(unbounded);
    if (most == 0 || most < least) refuse("a repeat of nothing");
    return true;
  }

  std::optional<std::size_t> number() {
    std::optional<std::size_t> value;
    while (peek() >= U'0' && peek() <= U'9') {
      value = value.value_or(0) * 10 + (get() - U'0');
      if (*value > most_instructions) refuse("it is too long");
    }
    return value;
  }

  // A run of one class that gives nothing back; `?+` is a run of at most one.
  void possessive(std::uint32_t begin, std::size_t least, std::size_t most) {
    if (here() != begin + 1 || regex_.code_[begin].op != Op::set) refuse("a possessive repeat of more than a class");
    const std::uint32_t set = regex_.code_[begin].x;
    if (most == 1) {
      regex_.code_[begin] = {Op::possessive, set, 1};
    } else if (least == 0) {
      regex_.code_[begin] = {Op::possessive, set, 0};
    } else {
      emit(Op::possessive, set, 0);
    }
  }

  void loop(std::uint32_t begin, std::size_t least, std::size_t most, bool lazy) {
    const auto fork = [&](std::uint32_t on, std::uint32_t out) {
      return lazy ? Regex::Instruction{Op::split, out, on} : Regex::Instruction{Op::split, on, out};
    };
    const std::uint32_t end = here(), width = end - begin;
    for (std::size_t i = 1; i < least; ++i) repeat(begin, end);
    if (most == unbounded) {
      if (least == 0) {  // L: fork body, out; body; jump L
        open(begin);
        emit(Op::jump, begin);
        regex_.code_[begin] = fork(begin + 1, here());
      } else {  // body; fork body, out
        const std::uint32_t last = here() - width;
        emit(Op::split);
        regex_.code_.back() = fork(last, here());
      }
      return;
    }
    std::vector<std::uint32_t> forks;
    if (least == 0) {
      open(begin);
      forks.push_back(begin);
    }
    const std::uint32_t body = least == 0 ? begin + 1 : begin;
    for (std::size_t i = std::max<std::size_t>(least, 1); i < most; ++i) {
      forks.push_back(emit(Op::split));
      repeat(body, body + width);
    }
    for (const std::uint32_t place : forks) regex_.code_[place] = fork(place + 1, here());
  }

  Regex& regex_;
  bool dot_takes_line_end_ = false;
  std::u32string letters_;  // in either case, that stand one after the other
};

Regex::Regex(std::string_view pattern, const std::string& name) { RegexParser(*this, pattern, name).parse(); }

}  // namespace mk
