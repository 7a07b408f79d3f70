// verdicts FOLDER...: for each mirrorkit.json what was wrong with it, or nothing, and a zero.
#include <iostream>

#include "bundle.hpp"
#include "error.hpp"

int main(int count, char** folders) {
  for (int i = 1; i < count; ++i) {
    try {
      const mk::Bundle bundle(folders[i]);
    } catch (const mk::Error& error) {
      std::cout << error.what();
    }
    std::cout << '\0';
  }
}
