// The characters, escapes and classes of a regular expression.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "code_points.hpp"
#include "error.hpp"

namespace mk {

// Returns a set with both cases of what it has of the letters a to z: those that Oniguruma folds to one of them.
CodePoints with_both_cases(const CodePoints& set);

class RegexReader {
 protected:
  static constexpr std::size_t deepest = 100;  // groups and classes in one another

  RegexReader(std::string_view pattern, const std::string& name);

  bool done() const { return at_ == pattern_.size(); }
  char32_t peek(std::size_t ahead = 0) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : U'\0'; }
  bool take(std::u32string_view what) {
    if (pattern_.compare(at_, what.size(), what) != 0) return false;
    at_ += what.size();
    return true;
  }
  char32_t get() {
    if (done()) refuse("it ends too early");
    return pattern_[at_++];
  }
  [[noreturn]] void refuse(const std::string& why) const {
    unsupported(name_ + ": the regular expression " + shown_ + " is not known to this library (" + why + ")");
  }

  // Reads what follows a backslash: a set, or a single character.
  CodePoints escaped(std::optional<char32_t>& single);
  // Reads a class, of which the first bracket has been read.
  CodePoints char_class();

  std::size_t at_ = 0, depth_ = 0;
  bool ignore_case_ = false;

 private:
  // In a class, and there alone, Oniguruma takes some numbers of Latin-1 for no part of a word.
  CodePoints word() const;
  CodePoints property(bool negative);
  // Reads so many digits, 0: as many as there are.
  char32_t hexadecimal(std::size_t digits);
  // Reads a character, a range or an escape of a class.
  CodePoints member();

  std::u32string pattern_;
  std::string name_, shown_;
  std::size_t in_class_ = 0;
};

}  // namespace mk
