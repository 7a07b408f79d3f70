#include "regex_reader.hpp"

#include "unicode.hpp"

namespace mk {
namespace {

constexpr char32_t long_s = 0x17F, kelvin = 0x212A;  // whose other case is s and k

bool is_ascii_letter(char32_t c) { return (c | 0x20) >= U'a' && (c | 0x20) <= U'z'; }

}  // namespace

CodePoints with_both_cases(const CodePoints& set) {
  CodePoints found = set;
  for (char32_t c = U'a'; c <= U'z'; ++c) {
    const bool lower = set.has(c), upper = set.has(c - 32);
    const bool other = (c == U's' && set.has(long_s)) || (c == U'k' && set.has(kelvin));
    if (!lower && !upper && !other) continue;
    found.add(CodePoints::of(c, c));
    found.add(CodePoints::of(c - 32, c - 32));
    if (c == U's') found.add(CodePoints::of(long_s, long_s));
    if (c == U'k') found.add(CodePoints::of(kelvin, kelvin));
  }
  return found;
}

RegexReader::RegexReader(std::string_view pattern, const std::string& name)
    : pattern_(unicode::decode(pattern)), name_(name), shown_(pattern) {}

CodePoints RegexReader::escaped(std::optional<char32_t>& single) {
  const char32_t c = get();
  switch (c) {
    case U's':
      return CodePoints::white_space();
    case U'S':
      return CodePoints::white_space().inverted();
    case U'd':
      return CodePoints::property("Nd");
    case U'D':
      return CodePoints::property("Nd").inverted();
    case U'w':
      return word();
    case U'W':
      return word().inverted();
    case U'p':
    case U'P':
      return property(c == U'P');
    case U'n':
      single = U'\n';
      break;
    case U'r':
      single = U'\r';
      break;
    case U't':
      single = U'\t';
      break;
    case U'f':
      single = U'\f';
      break;
    case U'v':
      single = U'\v';
      break;
    case U'u':
      single = hexadecimal(4);
      break;
    case U'x':
      if (!take(U"{")) {
        single = hexadecimal(2);
        if (*single >= 128) refuse("a byte");
      } else {
        single = hexadecimal(0);
        if (!take(U"}")) refuse("a code point");
      }
      break;
    default:
      if (c >= 128 || is_ascii_letter(c) || (c >= U'0' && c <= U'9')) refuse("an escape of this kind");
      single = c;
  }
  return {};
}

CodePoints RegexReader::word() const {
  if (!in_class_) return CodePoints::word();
  CodePoints numbers;
  for (const char32_t c : U"\u00b2\u00b3\u00b9\u00bc\u00bd\u00be") {
    if (c) numbers.add(CodePoints::of(c, c));
  }
  return CodePoints::word().common(numbers.inverted());
}

CodePoints RegexReader::property(bool negative) {
  if (ignore_case_) refuse("a property in either case");
  if (!take(U"{")) refuse("a property");
  if (take(U"^")) negative = !negative;
  std::string name;
  while (peek() != U'}') {
    const char32_t c = get();
    if (c >= 128) refuse("a property");
    name.push_back(static_cast<char>(c));
  }
  ++at_;
  const CodePoints found = CodePoints::property(name);
  if (found.empty()) refuse("the property " + name);
  return negative ? found.inverted() : found;
}

char32_t RegexReader::hexadecimal(std::size_t digits) {
  char32_t value = 0;
  std::size_t count = 0;
  for (; digits == 0 ? count < 6 : count < digits; ++count) {
    const char32_t c = peek(), low = c | 0x20;
    const bool digit = c >= U'0' && c <= U'9', letter = low >= U'a' && low <= U'f';
    if (!digit && !letter) break;
    value = value * 16 + (digit ? c - U'0' : low - U'a' + 10);
    ++at_;
  }
  if (count == 0 || (digits && count < digits) || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
    refuse("a code point");
  return value;
}

CodePoints RegexReader::char_class() {
  if (++depth_ > deepest) refuse("too many classes in one another");
  ++in_class_;
  const bool negative = take(U"^");
  if (peek() == U']') refuse("a class that begins with a bracket");
  CodePoints whole = CodePoints::all(), part;
  bool several = false;
  while (!take(U"]")) {
    if (take(U"&&")) {
      whole = whole.common(part);
      part = {};
      several = true;
      continue;
    }
    if (peek() == U'[' && peek(1) == U':') refuse("a POSIX class");
    part.add(take(U"[") ? char_class() : member());
  }
  --depth_, --in_class_;
  if (several) part = whole.common(part);
  return negative ? part.inverted() : part;
}

CodePoints RegexReader::member() {
  std::optional<char32_t> first = get();
  if (*first == U'\\') {
    first.reset();
    if (peek() == U'b') refuse("an escape of this kind");
    const CodePoints set = escaped(first);
    if (!first) {
      if (peek() == U'-' && peek(1) != U']') refuse("a range from a set");
      return set;
    }
  }
  std::optional<char32_t> last = first;
  if (peek() == U'-' && peek(1) != U']' && peek(1) != U'\0') {
    ++at_;
    last = get();
    if (*last == U'[' || (*last == U'&' && peek() == U'&')) refuse("a range to a set");
    if (*last == U'\\') {
      last.reset();
      escaped(last);
      if (!last) refuse("a range to a set");
    }
    if (*last < *first) refuse("a range that runs backwards");
  }
  if (!ignore_case_) return CodePoints::of(*first, *last);
  if (*last >= 128) refuse("a letter beyond ASCII in either case");
  return with_both_cases(CodePoints::of(*first, *last));
}

}  // namespace mk
