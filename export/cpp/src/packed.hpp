// A bundle in one file: a ZIP archive whose members are stored as they are, the manifest first.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace mk {

// Whether the bytes begin as such a file does.
bool is_packed(std::string_view bytes);

// Returns the members by their names. Throws for whatever `mirrorkit pack` does not write: members that are compressed,
// overlap, lie beyond the end or have the same or unsafe names, and a manifest that is not the one that was packed.
// `name` is what an error calls the file.
std::map<std::string, std::string_view> packed_members(std::string_view bytes, const std::string& name);

}  // namespace mk
