#include "platform.hpp"

#include <cstdlib>

#include "error.hpp"

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace fs = std::filesystem;

namespace mk {

#ifdef _WIN32

namespace {

std::wstring wide(const char* ascii) { return {ascii, ascii + std::char_traits<char>::length(ascii)}; }

// A bare name is looked for beside the program, in System32 and where AddDllDirectory says; not in the folder that the
// program happens to run in, nor along PATH, where anybody may have put a library of that name. One given by its path
// finds what it needs itself beside it.
HMODULE open_library(const std::string& library) {
  const fs::path path = fs::u8path(library);
  if (!path.has_parent_path()) return LoadLibraryExW(path.c_str(), nullptr, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);
  constexpr DWORD beside = LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS;
  return LoadLibraryExW(whole.c_str(), nullptr, beside);
}

}  // namespace

void* symbol_in(const std::string& library, const char* symbol) {
  const HMODULE handle = open_library(library);
  if (handle == nullptr) {
    const auto code = static_cast<int>(GetLastError());
    std::string reason = std::system_category().message(code);
    while (!reason.empty() && (reason.back() == '\n' || reason.back() == '\r')) reason.pop_back();
    throw Error(Status::not_found, library + ": " + reason + " (error " + std::to_string(code) + ")");
  }
  void* found = reinterpret_cast<void*>(GetProcAddress(handle, symbol));
  if (found == nullptr) throw Error(Status::not_found, library + ": has no " + symbol);
  return found;
}

std::optional<std::string> environment(const char* name) {
  const wchar_t* value = _wgetenv(wide(name).c_str());
  if (value == nullptr || *value == L'\0') return std::nullopt;
  return fs::path(value).u8string();
}

void set_default_environment(const char* name, const char* value) {
  if (_wgetenv(wide(name).c_str()) == nullptr) _wputenv_s(wide(name).c_str(), wide(value).c_str());
}

// The standard library of MinGW knows no links.
fs::path real_path(const fs::path& path, std::error_code& error) {
  constexpr DWORD shared = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
  const HANDLE handle =
      CreateFileW(path.c_str(), 0, shared, nullptr, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr);
  if (handle == INVALID_HANDLE_VALUE) {
    const fs::path whole = fs::absolute(path, error), parent = whole.parent_path();
    if (error || parent == whole) return whole;
    return (real_path(parent, error) / whole.filename()).lexically_normal();
  }
  std::wstring name(GetFinalPathNameByHandleW(handle, nullptr, 0, FILE_NAME_NORMALIZED), L'\0');
  name.resize(GetFinalPathNameByHandleW(handle, name.data(), static_cast<DWORD>(name.size()), FILE_NAME_NORMALIZED));
  CloseHandle(handle);
  if (name.empty()) error = std::make_error_code(std::errc::no_such_file_or_directory);
  return name;
}

#else

void* symbol_in(const std::string& library, const char* symbol) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw Error(Status::not_found, dlerror());
  void* found = dlsym(handle, symbol);
  if (found == nullptr) throw Error(Status::not_found, library + ": has no " + symbol);
  return found;
}

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

void set_default_environment(const char* name, const char* value) { setenv(name, value, 0); }

fs::path real_path(const fs::path& path, std::error_code& error) { return fs::weakly_canonical(path, error); }

#endif

}  // namespace mk
