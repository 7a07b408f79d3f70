// Bytes that lie somewhere, and what keeps them there.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace mk {

struct Content {
  std::string_view bytes;
  std::shared_ptr<const void> keeper;  // null: whoever gave them keeps them
};

// Maps a file into memory, to be read; throws where that cannot be. It must not be written into while it is mapped: a
// new one is moved into its place.
Content map_file(const std::filesystem::path& file);

}  // namespace mk
