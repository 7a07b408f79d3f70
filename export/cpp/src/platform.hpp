// What the operating system has a say in: shared libraries that are opened at run time, the environment, where a path
// leads. All text is UTF-8.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

namespace mk {

// Returns the address of `symbol` in `library`, a path or a bare name that the loader looks for; throws where there is
// none. The library stays loaded to the end of the process.
void* symbol_in(const std::string& library, const char* symbol);

// Returns the value of an environment variable that is set and not empty.
std::optional<std::string> environment(const char* name);

// Sets an environment variable that is not set.
void set_default_environment(const char* name, const char* value);

// Returns the absolute path of what `path` leads to, links followed; what is not there is taken to be no link.
std::filesystem::path real_path(const std::filesystem::path& path, std::error_code& error);

}  // namespace mk
