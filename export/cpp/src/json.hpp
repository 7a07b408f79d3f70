// Reading JSON with an error that names the file, the key and what was wrong. Nothing unknown passes in silence.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mk {

using Json = nlohmann::json;

// Parses one JSON document; `name` is what an error calls it.
Json parse_json(std::string_view text, const std::string& name);

// Throws unless `value` is an object that has no keys but these.
void expect_keys(const Json& value, std::initializer_list<std::string_view> known, const std::string& name);

// Each returns the value of a key, or throws when it is absent or of another type.
const Json& field(const Json& value, const char* key, const std::string& name);
std::string string_field(const Json& value, const char* key, const std::string& name);
bool bool_field(const Json& value, const char* key, const std::string& name);
std::int64_t int_field(const Json& value, const char* key, const std::string& name);  // 0 to 2^31 - 1

// The same with a value for when the key is absent or null.
std::string string_or(const Json& value, const char* key, const std::string& fallback, const std::string& name);
bool bool_or(const Json& value, const char* key, bool fallback, const std::string& name);

// Returns the "type" of a component.
std::string type_of(const Json& value, const std::string& name);

bool is_absent(const Json& value, const char* key);

}  // namespace mk
