#include "files.hpp"

#include <fstream>
#include <system_error>
#include <utility>

#include "error.hpp"
#include "packed.hpp"
#include "sha256.hpp"
#include "unicode.hpp"
#include "within.hpp"

namespace fs = std::filesystem;

namespace mk {
namespace {

constexpr std::uintmax_t largest_text_file = std::uintmax_t{1} << 28;  // as in Python
constexpr const char* in_memory = "the bundle in memory";

class Folder : public Files {
 public:
  Folder(std::string name, fs::path folder) : Files(std::move(name)), folder_(std::move(folder)) {}

  File find(const std::string& relative) const override {
    check_path(relative);
    const fs::path path = folder_ / fs::u8path(relative);
    std::error_code error;
    if (!fs::is_regular_file(path, error)) missing(relative);
    return {path.u8string(), path, {}};
  }

  void check_path(const std::string& relative) const override {
    if (!is_within(folder_, relative)) bad_bundle(name() + ": the path " + relative + " leads out of the bundle");
  }

 private:
  fs::path folder_;
};

class Members : public Files {
 public:
  Members(std::string name, std::map<std::string, std::string_view> members, std::shared_ptr<const void> keeper)
      : Files(std::move(name)), members_(std::move(members)), keeper_(std::move(keeper)) {}

  File find(const std::string& relative) const override {
    const auto found = members_.find(relative);
    if (found == members_.end()) missing(relative);
    return {name() + ": " + relative, {}, {found->second, keeper_}};
  }

 private:
  std::map<std::string, std::string_view> members_;
  std::shared_ptr<const void> keeper_;
};

class Asked : public Files {
 public:
  explicit Asked(Read read) : Files("the bundle"), read_(std::move(read)) {}

  File find(const std::string& relative) const override {
    auto found = read_(relative);
    if (!found) missing(relative);
    return {name() + ": " + relative, {}, std::move(*found)};
  }

 private:
  Read read_;
};

}  // namespace

std::uintmax_t File::size() const {
  if (path.empty()) return content.bytes.size();
  std::error_code error;
  const std::uintmax_t found = fs::file_size(path, error);
  if (error) throw Error(Status::not_found, name + ": cannot be read");
  return found;
}

std::string File::sha256() const { return path.empty() ? sha256_of(content.bytes) : sha256_of_file(path); }

std::string File::text() const {
  if (!path.empty()) return read_file(path);
  if (content.bytes.size() > largest_text_file) throw Error(Status::not_found, name + ": is too large to be read");
  return std::string(content.bytes);
}

void Files::check_path(const std::string&) const {}

void Files::missing(const std::string& relative) const {
  throw Error(Status::not_found, name_ + ": " + relative + " is missing");
}

std::unique_ptr<const Files> open_files(const std::string& path) {
  if (!unicode::is_valid_utf8(path)) throw Error(Status::invalid_argument, "path: not valid UTF-8");
  const fs::path place = fs::u8path(path);
  std::error_code error;
  if (fs::is_directory(place, error)) return std::make_unique<Folder>(path, place);
  if (!fs::exists(place, error)) throw Error(Status::not_found, path + ": no such folder or file");
  Content content = map_file(place);
  if (!is_packed(content.bytes)) {
    bad_bundle(path + ": is not a bundle's folder, nor a file that mirrorkit pack wrote");
  }
  auto members = packed_members(content.bytes, path);
  return std::make_unique<Members>(path, std::move(members), std::move(content.keeper));
}

std::unique_ptr<const Files> files_in_memory(std::map<std::string, std::string_view> files) {
  if (files.size() == 1 && is_packed(files.begin()->second)) {
    files = packed_members(files.begin()->second, in_memory);
  }
  return std::make_unique<Members>(in_memory, std::move(files), nullptr);
}

std::unique_ptr<const Files> files_by(Read read) { return std::make_unique<Asked>(std::move(read)); }

std::string read_file(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::error_code error;
  const std::uintmax_t size = fs::file_size(file, error);
  if (!stream || error || size > largest_text_file) {
    throw Error(Status::not_found, file.u8string() + ": cannot be read");
  }
  std::string content(static_cast<std::size_t>(size), '\0');
  stream.read(content.data(), static_cast<std::streamsize>(size));
  content.resize(static_cast<std::size_t>(stream.gcount()));
  return content;
}

}  // namespace mk
