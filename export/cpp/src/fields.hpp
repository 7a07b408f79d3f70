// What mirrorkit.json may say, by anybody: mirrorkit/formats/fields.py in C++, the same bounds.
#pragma once

#include <string>

#include "json.hpp"

namespace mk {

// Throws unless every field that a reader relies on is of its type and within bounds; `name` is the file's.
void check_manifest(const Json& manifest, const std::string& name);

}  // namespace mk
