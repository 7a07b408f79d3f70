// mirrorkit.json: what a bundle holds, wherever its files are. No path in it leads out of its folder.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"
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
  explicit Bundle(std::unique_ptr<const Files> files);

  const std::string& name() const { return files_->name(); }
  std::size_t max_length() const { return max_length_; }
  std::int64_t pad_id() const { return pad_id_; }
  const Usage& usage() const { return usage_; }

  // Returns the best variant for "auto" or a precision on a device (cpu, cuda, tensorrt), else the one of that name or
  // file; throws naming those there are. Which is best mirrorkit.json says, in its field "preference".
  const Variant& choose(const std::string& wanted, const std::string& device = "cpu") const;

  // Returns a recorded file, or the manifest, after holding its size, and with `verify` its hash, against the record.
  File checked(const std::string& relative, bool verify) const;

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
  File find_manifest() const;

  std::unique_ptr<const Files> files_;
  std::string manifest_;  // what errors call it
  std::size_t dim_ = 0, max_length_ = 0;
  std::int64_t pad_id_ = 0;
  Usage usage_;
  std::vector<Variant> variants_;
  std::map<std::string, std::vector<std::string>> preference_;  // names of variants, the best first, by device
  std::vector<Record> records_;
};

}  // namespace mk
