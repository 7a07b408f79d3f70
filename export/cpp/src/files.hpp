// Where the files of a bundle are: in a folder, in one file, in the memory of the program, or where that program says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "mapped_file.hpp"

namespace mk {

// A file of a bundle: by its path, or else its bytes.
struct File {
  std::string name;            // what errors call it
  std::filesystem::path path;  // empty: its bytes are in memory
  Content content;

  std::uintmax_t size() const;
  std::string sha256() const;
  std::string text() const;  // its bytes, copied; throws for a file too large to be text
};

class Files {
 public:
  virtual ~Files() = default;

  // Returns the file of that path in the bundle; throws where there is none.
  virtual File find(const std::string& relative) const = 0;

  // Throws for a path that leads out of the bundle.
  virtual void check_path(const std::string& relative) const;

  const std::string& name() const { return name_; }  // what errors call the bundle

 protected:
  explicit Files(std::string name) : name_(std::move(name)) {}
  [[noreturn]] void missing(const std::string& relative) const;

 private:
  std::string name_;
};

// Opens a folder, or a file that `mirrorkit pack` wrote; `path` is in UTF-8.
std::unique_ptr<const Files> open_files(const std::string& path);

// The files by their paths in the bundle; a single one may be what `mirrorkit pack` wrote. Whoever gives them keeps
// them.
std::unique_ptr<const Files> files_in_memory(std::map<std::string, std::string_view> files);

// Returns a file, or nothing where there is none.
using Read = std::function<std::optional<Content>(const std::string& relative)>;
std::unique_ptr<const Files> files_by(Read read);

// Returns the content of a file; throws where it cannot be read.
std::string read_file(const std::filesystem::path& file);

}  // namespace mk
