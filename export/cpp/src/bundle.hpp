// mirrorkit.json: what a bundle holds. No path in it leads out of its folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "json.hpp"
#include "usage.hpp"

namespace mk {

struct Variant {
  std::string name;
  std::string precision;
  std::string file;                     // relative to the bundle
  std::vector<std::string> data_files;  // the same: further files that hold its weights
  std::size_t dim = 0;                  // length of its vectors
};

class Bundle {
 public:
  // Reads the manifest; throws where it is missing, malformed, or of a newer release.
  explicit Bundle(const std::string& folder);

  std::size_t max_length() const { return max_length_; }
  std::int64_t pad_id() const { return pad_id_; }
  const Usage& usage() const { return usage_; }

  // Returns the best variant for "auto" or a precision, else the one of that name or file; throws naming those there
  // are. Which is best mirrorkit.json says, in its field "preference".
  const Variant& choose(const std::string& wanted) const;

  // Returns the path of a recorded file after holding its size, and with `verify` its hash, against the record.
  std::filesystem::path checked(const std::string& relative, bool verify) const;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  struct Record {
    std::string name;
    std::string sha256;
    std::uintmax_t bytes;
  };

  void read(const Json& value);
  void read_variants(const Json& value);
  void read_files(const Json& value);
  void read_preference(const Json& value);
  const Variant* find(std::string_view name) const;
  std::filesystem::path inside(const std::string& relative) const;

  std::filesystem::path folder_;
  std::string manifest_;  // its path, for errors
  std::size_t dim_ = 0, max_length_ = 0;
  std::int64_t pad_id_ = 0;
  Usage usage_;
  std::vector<Variant> variants_;
  std::vector<std::string> preference_;  // names of variants for the CPU, the best first; some may not be there
  std::vector<Record> files_;
};

// Returns the content of a file; throws where it cannot be read.
std::string read_file(const std::filesystem::path& file);

}  // namespace mk
