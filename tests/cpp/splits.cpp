// Cuts each text, they end in zero bytes, by the matches of a regular expression and prints where its pieces end, in
// bytes, a line each. An expression that is refused is said in one line, with exit code 2.
#include <cstdio>
#include <exception>
#include <iostream>
#include <iterator>
#include <string>

#include "regex.hpp"

int main(int count, char** words) {
  if (count != 2) return 1;
  try {
    const mk::Regex regex(words[1], "pattern");
    const std::string all((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
    for (std::size_t begin = 0; begin < all.size();) {
      const std::size_t end = all.find('\0', begin);
      const std::string text = all.substr(begin, end - begin);
      std::size_t done = 0;
      for (mk::Match match = regex.find(text, 0); match.begin != match.end; match = regex.find(text, match.end)) {
        if (match.begin > done) std::printf("%zu ", match.begin);
        std::printf("%zu ", match.end);
        done = match.end;
      }
      if (done < text.size()) std::printf("%zu ", text.size());
      std::printf("\n");
      begin = end + 1;
    }
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
    return 2;
  }
}
