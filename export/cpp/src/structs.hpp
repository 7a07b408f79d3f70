// Structs that come from programs built with an older or a newer mirrorkit.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "error.hpp"

namespace mk {

// Returns a copy of a struct that begins with its size: the fields that its program does not know are 0. `oldest` is
// the size that it had in the first release; a longer one than here is taken where what is not known here is 0. Not a
// byte beyond the size that the program gives is read, and none is written. Throws naming `what` otherwise.
template <typename Struct>
Struct taken(const Struct& given, std::size_t oldest, const char* what) {
  constexpr std::size_t largest = 4096;  // bytes; a size beyond it was never set
  const std::size_t size = given.size;
  const auto wrong = [what](const std::string& how) { throw Error(Status::invalid_argument, what + how); };
  if (size < oldest || size > largest) {
    wrong(": its size is " + std::to_string(size) + ", which is not that of the struct; set it to sizeof");
  }
  Struct known{};
  const auto* bytes = reinterpret_cast<const unsigned char*>(&given);
  std::memcpy(static_cast<void*>(&known), bytes, std::min(size, sizeof(Struct)));
  known.size = sizeof(Struct);
  for (std::size_t i = sizeof(Struct); i < size; ++i) {
    if (bytes[i] != 0) wrong(": sets an option of a later release of mirrorkit than this library");
  }
  return known;
}

}  // namespace mk
