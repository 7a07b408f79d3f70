#include "bundle.hpp"

#include <algorithm>
#include <utility>

#include "error.hpp"
#include "fields.hpp"

namespace mk {
namespace {

constexpr const char* manifest_name = "mirrorkit.json";
constexpr std::int64_t schema_version = 3;
// of devices of which a bundle does not tell: PREFERENCE of mirrorkit/formats/bundle.py
const std::pair<const char*, std::vector<std::string>> usual_preference[] = {
    {"cpu", {"int8-fused", "int8", "fp32-fused", "fp32", "fp16", "int4"}},
    {"cuda", {"fp16", "fp32-fused", "fp32", "int8-fused", "int8", "int4"}},
    {"tensorrt", {"fp16", "fp32"}},
};

}  // namespace

Bundle::Bundle(std::unique_ptr<const Files> files) : files_(std::move(files)) {
  const File manifest = find_manifest();
  manifest_ = manifest.name;
  read(parse_json(manifest.text(), manifest_));
}

File Bundle::find_manifest() const {
  files_->check_path(manifest_name);  // it may be a link
  try {
    return files_->find(manifest_name);
  } catch (const Error& error) {
    if (error.status() != Status::not_found) throw;
    throw Error(Status::not_found, files_->name() + ": no " + manifest_name +
                                       " in it, so this is not a bundle; make one: mirrorkit export");
  }
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
  for (const auto& [device, names] : usual_preference) preference_[device] = names;
  if (is_absent(value, "preference")) return;
  for (auto item = value["preference"].begin(); item != value["preference"].end(); ++item) {
    preference_[item.key()] = item->get<std::vector<std::string>>();
  }
}

void Bundle::read_files(const Json& value) {
  for (auto item = value.begin(); item != value.end(); ++item) {
    files_->check_path(item.key());  // links too
    records_.push_back({item.key(), string_field(*item, "sha256", manifest_), (*item)["bytes"].get<std::uintmax_t>()});
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

const Variant& Bundle::choose(const std::string& wanted, const std::string& device) const {
  for (const std::string& name : preference_.count(device) > 0 ? preference_.at(device) : std::vector<std::string>()) {
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
              "variant " + wanted + ": " + files_->name() + " holds " + (names.empty() ? "none" : names));
}

File Bundle::checked(const std::string& relative, bool verify) const {
  if (relative == manifest_name) return find_manifest();
  const auto record =
      std::find_if(records_.begin(), records_.end(), [&](const Record& r) { return r.name == relative; });
  if (record == records_.end()) bad_bundle(manifest_ + ": " + relative + " is not among its files");
  File file = files_->find(relative);
  if (const std::uintmax_t size = file.size(); size != record->bytes) {
    bad_bundle(file.name + ": has " + std::to_string(size) + " bytes, " + manifest_name + " says " +
               std::to_string(record->bytes));
  }
  if (verify && file.sha256() != record->sha256) {
    bad_bundle(file.name + ": changed or damaged (its SHA-256 is not the one in " + manifest_name + ")");
  }
  return file;
}

}  // namespace mk
