// No path that a file names leads out of its folder.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>

#include "platform.hpp"

namespace mk {

// Whether `name`, in UTF-8 and with links followed, leads to something below `folder`.
inline bool is_within(const std::filesystem::path& folder, const std::string& name) {
  const std::filesystem::path relative = std::filesystem::u8path(name);
  if (name.empty() || name.find('\0') != std::string::npos || relative.has_root_path()) return false;
  std::error_code first, second;
  const auto home = real_path(folder.empty() ? "." : folder, first);
  const auto real = real_path(folder / relative, second);
  if (first || second || home.empty() || real == home) return false;
  return std::mismatch(home.begin(), home.end(), real.begin(), real.end()).first == home.end();
}

}  // namespace mk
