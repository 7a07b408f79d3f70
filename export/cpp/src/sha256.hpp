// SHA-256, to tell a damaged file.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace mk {

// Each returns 64 hexadecimal digits; throws where the file cannot be read.
std::string sha256_of(std::string_view bytes);
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace mk
