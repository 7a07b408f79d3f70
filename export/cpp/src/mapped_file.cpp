#include "mapped_file.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <system_error>

#include "error.hpp"

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace fs = std::filesystem;

namespace mk {
namespace {

[[noreturn]] void unreadable(const fs::path& file) {
  throw Error(Status::not_found, file.u8string() + ": cannot be read");
}

std::size_t size_of(const fs::path& file) {
  std::error_code error;
  const std::uintmax_t size = fs::is_regular_file(file, error) ? fs::file_size(file, error) : 0;
  if (error) unreadable(file);
  if (size == 0) bad_bundle(file.u8string() + ": is empty, or no file");
  if (size > std::numeric_limits<std::size_t>::max()) {
    unsupported(file.u8string() + ": is larger than the addresses of this processor reach");
  }
  return static_cast<std::size_t>(size);
}

}  // namespace

#ifdef _WIN32

Content map_file(const fs::path& file) {
  const std::size_t size = size_of(file);
  const HANDLE opened = CreateFileW(file.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr,
                                    OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (opened == INVALID_HANDLE_VALUE) unreadable(file);
  LARGE_INTEGER now{};
  const bool same = GetFileSizeEx(opened, &now) != 0 && static_cast<std::uint64_t>(now.QuadPart) == size;
  const HANDLE mapping = same ? CreateFileMappingW(opened, nullptr, PAGE_READONLY, 0, 0, nullptr) : nullptr;
  CloseHandle(opened);
  if (mapping == nullptr) unreadable(file);
  void* view = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
  CloseHandle(mapping);
  if (view == nullptr) unreadable(file);
  return {{static_cast<const char*>(view), size}, {view, [](const void* mapped) { UnmapViewOfFile(mapped); }}};
}

#else

Content map_file(const fs::path& file) {
  const std::size_t size = size_of(file);
  const int opened = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (opened < 0) unreadable(file);
  const bool same = lseek(opened, 0, SEEK_END) == static_cast<off_t>(size);
  void* view = same ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, opened, 0) : MAP_FAILED;
  close(opened);
  if (view == MAP_FAILED) unreadable(file);
  return {{static_cast<const char*>(view), size},
          {static_cast<const void*>(view), [size](const void* mapped) { munmap(const_cast<void*>(mapped), size); }}};
}

#endif

}  // namespace mk
