#include "bundle.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <system_error>

#include "error.hpp"
#include "fields.hpp"
#include "sha256.hpp"
#include "unicode.hpp"
#include "within.hpp"

namespace fs = std::filesystem;

namespace mk {
namespace {

constexpr const char* manifest_name = "mirrorkit.json";
constexpr std::int64_t schema_version = 3;
constexpr std::uintmax_t largest_text_file = std::uintmax_t{1} << 28;  // as in Python
// of bundles that were written before they told it: PREFERENCE of mirrorkit/formats/bundle.py
constexpr const char* usual_preference[] = {"int8-fused", "int8", "fp32-fused", "fp32", "fp16", "int4"};

}  // namespace

Bundle::Bundle(const std::string& folder) {
  if (!unicode::is_valid_utf8(folder)) throw Error(Status::invalid_argument, "folder: not valid UTF-8");
  folder_ = fs::u8path(folder);
  manifest_ = (folder_ / manifest_name).u8string();
  std::error_code error;
  if (!fs::is_directory(folder_, error)) throw Error(Status::not_found, folder + ": no such folder");
  if (!fs::is_regular_file(folder_ / manifest_name, error)) {
    throw Error(Status::not_found,
                folder + ": no " + manifest_name + " in it, so this is not a bundle; make one: mirrorkit export");
  }
  read(parse_json(read_file(inside(manifest_name)), manifest_));
}

void Bundle::read(const Json& value) {
  const std::int64_t version = int_field(value, "schema_version", manifest_);
  if (version > schema_version) {
    unsupported(manifest_ + ": schema " + std::to_string(version) + ", this library reads up to " +
                std::to_string(schema_version));
  }
  if (version < 1) bad_bundle(manifest_ + ": no schema_version in it");
  check_manifest(value, manifest_);
  dim_ = static_cast<std::size_t>(int_field(value, "dim", manifest_));
  max_length_ = static_cast<std::size_t>(int_field(value, "max_length", manifest_));
  pad_id_ = int_field(value, "pad_token_id", manifest_);
  usage_ = read_usage(value, manifest_);
  read_files(field(value, "files", manifest_));
  read_variants(field(value, "variants", manifest_));
  read_preference(value);
}

void Bundle::read_preference(const Json& value) {
  if (!is_absent(value, "preference") && !is_absent(value["preference"], "cpu")) {
    for (const Json& name : value["preference"]["cpu"]) preference_.push_back(name.get<std::string>());
  } else {
    preference_.assign(std::begin(usual_preference), std::end(usual_preference));
  }
}

void Bundle::read_files(const Json& value) {
  for (auto item = value.begin(); item != value.end(); ++item) {
    inside(item.key());  // links too
    files_.push_back({item.key(), string_field(*item, "sha256", manifest_), (*item)["bytes"].get<std::uintmax_t>()});
  }
}

void Bundle::read_variants(const Json& value) {
  for (auto item = value.begin(); item != value.end(); ++item) {
    Variant variant{
        item.key(), string_field(*item, "precision", manifest_), string_field(*item, "file", manifest_), {}, dim_};
    if (!is_absent(*item, "dim")) variant.dim = static_cast<std::size_t>(int_field(*item, "dim", manifest_));
    for (const Json& file : (*item)["data_files"]) variant.data_files.push_back(file.get<std::string>());
    variants_.push_back(std::move(variant));
  }
}

const Variant* Bundle::find(std::string_view name) const {
  const auto found = std::find_if(variants_.begin(), variants_.end(), [&](const Variant& v) { return v.name == name; });
  return found == variants_.end() ? nullptr : &*found;
}

const Variant& Bundle::choose(const std::string& wanted) const {
  for (const std::string& name : preference_) {
    const Variant* variant = find(name);
    if (variant != nullptr && (wanted == "auto" || wanted == variant->precision)) return *variant;
  }
  const auto by_file =
      std::find_if(variants_.begin(), variants_.end(), [&](const Variant& v) { return v.file == wanted; });
  if (by_file != variants_.end()) return *by_file;
  if (const Variant* variant = find(wanted)) return *variant;
  std::string names;
  for (const Variant& variant : variants_) names += (names.empty() ? "" : ", ") + variant.name;
  throw Error(Status::not_found,
              "variant " + wanted + ": " + folder_.u8string() + " holds " + (names.empty() ? "none" : names));
}

fs::path Bundle::inside(const std::string& relative) const {
  if (!is_within(folder_, relative)) {
    bad_bundle(folder_.u8string() + ": the path " + relative + " leads out of the bundle");
  }
  return folder_ / fs::u8path(relative);
}

fs::path Bundle::checked(const std::string& relative, bool verify) const {
  const auto record = std::find_if(files_.begin(), files_.end(), [&](const Record& r) { return r.name == relative; });
  if (record == files_.end()) bad_bundle(manifest_ + ": " + relative + " is not among its files");
  const fs::path path = inside(relative);
  std::error_code error;
  if (!fs::is_regular_file(path, error))
    throw Error(Status::not_found, folder_.u8string() + ": " + relative + " is missing");
  const std::uintmax_t size = fs::file_size(path, error);
  if (error || size != record->bytes) {
    bad_bundle(path.u8string() + ": has " + std::to_string(size) + " bytes, " + manifest_name + " says " +
               std::to_string(record->bytes));
  }
  if (verify && sha256_of_file(path) != record->sha256) {
    bad_bundle(path.u8string() + ": changed or damaged (its SHA-256 is not the one in " + manifest_name + ")");
  }
  return path;
}

std::string read_file(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::error_code error;
  const std::uintmax_t size = fs::file_size(file, error);
  if (!stream || error || size > largest_text_file) throw Error(Status::not_found, file.u8string() + ": cannot be read");
  std::string content(static_cast<std::size_t>(size), '\0');
  stream.read(content.data(), static_cast<std::streamsize>(size));
  content.resize(static_cast<std::size_t>(stream.gcount()));
  return content;
}

}  // namespace mk
