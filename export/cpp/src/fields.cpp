#include "fields.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "error.hpp"

namespace mk {
namespace {

constexpr std::size_t longest_name = 64;                       // characters of a name
constexpr std::size_t longest_path = 512;                      // characters of a path
constexpr std::size_t longest_text = 10'000;                   // characters of anything else
constexpr std::size_t most_entries = 10'000;                   // of a list or an object
constexpr std::int64_t largest_file = std::int64_t{1} << 42;   // bytes
constexpr std::int64_t widest = std::int64_t{1} << 16;         // numbers in a vector
constexpr std::int64_t longest_input = std::int64_t{1} << 20;  // tokens
constexpr std::int64_t largest_id = 0x7FFFFFFF;                // of a token
constexpr double largest_number = 1e30;                        // of a component of a vector

std::size_t length(std::string_view text) {  // in characters: JSON texts are valid UTF-8
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

class Checker {
 public:
  Checker(const Json& manifest, const std::string& name) : value_(manifest), name_(name) {}

  void check() const {
    text(value_, "architecture");
    whole(value_, "dim", widest, 1);
    whole(value_, "max_length", longest_input, 1);
    whole(value_, "pad_token_id", largest_id);
    entries(value_, "provenance");
    if (value_.contains("width")) whole(value_, "width", widest);
    if (value_.contains("pools_only")) bool_field(value_, "pools_only", name_);
    poolings(text(value_, "pooling", longest_text));
    usage();
    ranges(value_);
    files();
    variants();
    preference();
  }

 private:
  [[noreturn]] void bad(const std::string& what) const { bad_bundle(name_ + ": " + what); }

  void whole(const Json& raw, const char* key, std::int64_t most, std::int64_t least = 0) const {
    const Json& value = field(raw, key, name_);
    const bool fits = value.is_number_unsigned()
                          ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(most)
                          : value.is_number_integer() && value.get<std::int64_t>() <= most;
    if (!fits || value.get<std::int64_t>() < least) {
      bad(std::string(key) + " must be a whole number of " + std::to_string(least) + " to " + std::to_string(most));
    }
  }

  std::string text(const Json& raw, const char* key, std::size_t most = longest_name) const {
    return as_text(field(raw, key, name_), key, most);
  }

  std::string as_text(const Json& value, const std::string& what, std::size_t most = longest_name) const {
    const std::string found = value.is_string() ? value.get<std::string>() : "";
    const bool control = std::any_of(found.begin(), found.end(), [](char c) { return (c >= 0 && c < 32) || c == 127; });
    if (!value.is_string() || length(found) > most || control) {
      bad(what + " must be a text of at most " + std::to_string(most) + " characters");
    }
    return found;
  }

  // A path in the folder, with forward slashes and no step back.
  std::string path(const Json& value, const std::string& what) const {
    std::string found = as_text(value, what, longest_path);
    const bool drive = found.size() > 1 && std::isalpha(static_cast<unsigned char>(found[0])) != 0 && found[1] == ':';
    const std::string slashed = "/" + found + "/";
    if (found.empty() || found[0] == '/' || drive || found.find('\\') != std::string::npos ||
        slashed.find("/../") != std::string::npos) {
      bad(what + ": the path " + found + " leads out of the bundle");
    }
    return found;
  }

  void texts(const Json& value, const std::string& what, std::size_t most = longest_name) const {
    if (!value.is_array() || value.size() > most_entries) {
      bad(what + " must be a list of at most " + std::to_string(most_entries) + " texts");
    }
    for (const Json& one : value) as_text(one, what, most);
  }

  const Json& entries(const Json& raw, const char* key) const {
    const Json& value = field(raw, key, name_);
    if (!value.is_object() || value.size() > most_entries) {
      bad(std::string(key) + " must be an object of at most " + std::to_string(most_entries) + " entries");
    }
    return value;
  }

  void one_of(const Json& raw, const char* key, std::initializer_list<std::string_view> choices) const {
    const Json& value = field(raw, key, name_);
    const std::string found = value.is_string() ? value.get<std::string>() : "";
    if (value.is_string() && std::find(choices.begin(), choices.end(), found) != choices.end()) return;
    std::string listed;
    for (const std::string_view choice : choices) listed += (listed.empty() ? "" : ", ") + std::string(choice);
    bad(std::string(key) + " must be one of " + listed);
  }

  void poolings(const std::string& name) const {
    constexpr std::string_view known[] = {"cls",          "mean",     "mean-padded", "max", "mean_sqrt_len_tokens",
                                          "weightedmean", "lasttoken"};
    for (std::size_t at = 0; at <= name.size();) {
      const std::size_t end = std::min(name.find('+', at), name.size());
      const std::string one = name.substr(at, end - at);
      if (std::find(std::begin(known), std::end(known), one) == std::end(known)) bad("pooling " + one + " is not known");
      if (one == "mean-padded") {
        unsupported(name_ + ": pooling mean-padded depends on the padding of a batch; export with another");
      }
      at = end + 1;
    }
  }

  void usage() const {
    const Json none = Json::object();
    const Json& prompts = value_.contains("prompts") ? entries(value_, "prompts") : none;
    for (auto item = prompts.begin(); item != prompts.end(); ++item) {
      as_text(item.key(), "name of a prompt", longest_path);
      if (!item->is_string() || length(item->get_ref<const std::string&>()) > longest_text) {
        bad("prompts must be an object of strings");
      }
    }
    if (value_.contains("include_prompt")) bool_field(value_, "include_prompt", name_);
    bool_field(value_, "normalized", name_);
    if (value_.contains("truncation_side")) one_of(value_, "truncation_side", {"right", "left"});
    if (value_.contains("similarity")) one_of(value_, "similarity", {"cosine", "dot", "euclidean", "manhattan"});
  }

  // What a variant with vectors of another length than the bundle's says of them.
  void own_vectors(const Json& variant) const {
    if (variant.contains("golden")) path(variant["golden"], "golden");
    if (variant.contains("dim")) whole(variant, "dim", widest, 1);
    if (!is_absent(variant, "scalar_ranges") && !variant.contains("dim")) bad("scalar_ranges of a variant need its dim");
    ranges(variant);
  }

  void ranges(const Json& owner) const {
    if (is_absent(owner, "scalar_ranges")) return;
    const Json& sides = owner["scalar_ranges"];
    const std::size_t dim = owner["dim"].get<std::size_t>();
    const auto is_side = [&](const Json& side) {
      return side.is_array() && side.size() == dim && std::all_of(side.begin(), side.end(), [](const Json& number) {
               return number.is_number() && std::abs(number.get<double>()) < largest_number;
             });
    };
    if (!sides.is_array() || sides.size() != 2 || !is_side(sides[0]) || !is_side(sides[1])) {
      bad("scalar_ranges must be two lists of " + std::to_string(dim) + " numbers");
    }
    for (std::size_t i = 0; i < dim; ++i) {
      if (sides[0][i].get<double>() > sides[1][i].get<double>()) {
        bad("scalar_ranges must be the lowest values and then the highest ones");
      }
    }
  }

  void files() const {
    const Json& files = entries(value_, "files");
    for (auto item = files.begin(); item != files.end(); ++item) {
      path(item.key(), "files");
      whole(*item, "bytes", largest_file);
      const std::string digest = string_field(*item, "sha256", name_);
      if (digest.size() != 64 || digest.find_first_not_of("0123456789abcdef") != std::string::npos) {
        bad("sha256 must be 64 hexadecimal digits");
      }
    }
  }

  void variants() const {
    const Json& all = entries(value_, "variants");
    for (auto item = all.begin(); item != all.end(); ++item) {
      const std::string variant = as_text(item.key(), "variant");
      const std::string file = path(field(*item, "file", name_), "file");
      constexpr std::string_view ending = ".onnx";
      if (file.size() < ending.size() || file.compare(file.size() - ending.size(), ending.size(), ending) != 0) {
        bad("variant " + variant + ": " + file + " is not an .onnx file");
      }
      one_of(*item, "precision", {"fp32", "fp16", "int8", "int4", "static"});
      own_vectors(*item);
      one_of(*item, "graph", {"onnx", "onnxruntime"});
      entries(*item, "report");
      const Json& more = field(*item, "data_files", name_);
      texts(more, "data_files", longest_path);
      need(variant, file);
      for (const Json& one : more) need(variant, path(one, "data_files"));
    }
  }

  void need(const std::string& variant, const std::string& file) const {
    if (!value_["files"].contains(file)) {
      bad("variant " + variant + " needs " + file + ", which is not among its files");
    }
  }

  void preference() const {
    if (!value_.contains("preference")) return;
    const Json& devices = entries(value_, "preference");
    for (auto item = devices.begin(); item != devices.end(); ++item) {
      texts(*item, "preference for " + as_text(item.key(), "preference"));
    }
  }

  const Json& value_;
  const std::string& name_;
};

}  // namespace

void check_manifest(const Json& manifest, const std::string& name) { Checker(manifest, name).check(); }

}  // namespace mk
