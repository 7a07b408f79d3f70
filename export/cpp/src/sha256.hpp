// SHA-256 of a file, to tell a damaged one.
#pragma once

#include <filesystem>
#include <string>

namespace mk {

// Returns 64 hexadecimal digits; throws where the file cannot be read.
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace mk
