#include "json.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

#include "error.hpp"
#include "unicode.hpp"

namespace mk {
namespace {

constexpr std::int64_t int_limit = 0x7FFFFFFF;
constexpr std::size_t deepest = 64;  // no file of a bundle is nested as deeply
constexpr std::size_t longest_reason = 300;
constexpr double largest_power = 1e308;

bool overflows(std::uint64_t digits, std::uint64_t digit) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  return digits > most / 10 || (digits == most / 10 && digit > most % 10);
}

double power_of_ten(int exponent) {
  static const std::vector<double> powers = [] {
    std::vector<double> table;
    for (int i = 0; i <= 308; ++i) table.push_back(std::strtod(("1e" + std::to_string(i)).c_str(), nullptr));
    return table;
  }();
  return powers[static_cast<std::size_t>(exponent)];
}

// Returns the number that a valid JSON spelling stands for: as many digits as 64 bits hold, times a power of ten.
double double_of(const std::string& written) {
  std::uint64_t digits = 0;
  int exponent = 0;
  std::size_t at = written[0] == '-' ? 1 : 0;
  bool full = false, fraction = false;
  for (; at < written.size() && written[at] != 'e' && written[at] != 'E'; ++at) {
    if (written[at] == '.') {
      fraction = true;
      full = false;
      continue;
    }
    const auto digit = static_cast<std::uint64_t>(written[at] - '0');
    full = full || overflows(digits, digit);
    if (!full) digits = digits * 10 + digit;
    if (full != fraction) exponent += full ? 1 : -1;
  }
  if (at < written.size()) {
    const long power = std::strtol(written.c_str() + at + 1, nullptr, 10);
    exponent += static_cast<int>(std::clamp(power, -100000L, 100000L));
  }
  auto value = static_cast<double>(digits);
  for (; exponent < -308 && value != 0; exponent += 308) value /= largest_power;
  if (exponent >= 0) {
    value = exponent > 308 && value != 0 ? std::numeric_limits<double>::infinity()
                                         : value * power_of_ten(std::min(exponent, 308));
  } else if (value != 0) {
    value /= power_of_ten(-exponent);
  }
  return written[0] == '-' ? -value : value;
}

// Builds the document. Its floating-point numbers are those that Rust's serde_json reads, which `tokenizers` uses: it
// rounds twice, so a last bit may differ, and with it which of two equally good ways to cut a text comes out better.
class Builder {
 public:
  Json root;
  std::string problem;

  bool null() { return put(Json()); }
  bool boolean(bool value) { return put(Json(value)); }
  bool number_integer(std::int64_t value) { return put(Json(value)); }
  bool number_unsigned(std::uint64_t value) { return put(Json(value)); }
  bool number_float(double, const std::string& written) { return put(Json(double_of(written))); }
  bool string(std::string& value) { return put(Json(std::move(value))); }
  bool binary(Json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& value) {
    key_ = std::move(value);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    std::string reason = error.what();  // quotes what was read last, whatever that is
    if (reason.size() > longest_reason) reason = reason.substr(0, longest_reason) + "...";
    if (!unicode::is_valid_utf8(reason)) {
      std::replace_if(reason.begin(), reason.end(), [](char c) { return c < 0; }, '?');
    }
    problem = "not readable as JSON (" + reason + ")";
    return false;
  }

 private:
  Json& place(Json&& value) {
    if (open_.empty()) return root = std::move(value);
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return open_.back()->back();
    }
    return (*open_.back())[key_] = std::move(value);
  }
  bool put(Json&& value) {
    place(std::move(value));
    return true;
  }
  bool open(Json&& value) {
    if (open_.size() == deepest) {
      problem = "nested more than " + std::to_string(deepest) + " deep";
      return false;
    }
    open_.push_back(&place(std::move(value)));  // stays where it is until it is closed
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::vector<Json*> open_;
  std::string key_;
};

[[noreturn]] void wrong_type(const char* key, const char* wanted, const std::string& name) {
  bad_bundle(name + ": " + key + " must be " + wanted);
}

}  // namespace

Json parse_json(std::string_view text, const std::string& name) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") bad_bundle(name + ": begins with a byte order mark, which JSON has not");
  if (text.find('\0') != std::string_view::npos) bad_bundle(name + ": a zero byte in it, which JSON has not");
  Builder builder;
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) bad_bundle(name + ": " + builder.problem);
  return std::move(builder.root);
}

void expect_keys(const Json& value, std::initializer_list<std::string_view> known, const std::string& name) {
  if (!value.is_object()) bad_bundle(name + ": must be a JSON object");
  for (const auto& item : value.items()) {
    if (std::find(known.begin(), known.end(), item.key()) == known.end()) {
      unsupported(name + ": the key \"" + item.key() + "\" is not known to this library");
    }
  }
}

const Json& field(const Json& value, const char* key, const std::string& name) {
  if (!value.is_object()) bad_bundle(name + ": must be a JSON object");
  const auto found = value.find(key);
  if (found == value.end()) bad_bundle(name + ": no " + key + " in it");
  return *found;
}

std::string string_field(const Json& value, const char* key, const std::string& name) {
  const Json& found = field(value, key, name);
  if (!found.is_string()) wrong_type(key, "a string", name);
  return found.get<std::string>();
}

bool bool_field(const Json& value, const char* key, const std::string& name) {
  const Json& found = field(value, key, name);
  if (!found.is_boolean()) wrong_type(key, "true or false", name);
  return found.get<bool>();
}

std::int64_t int_field(const Json& value, const char* key, const std::string& name) {
  const Json& found = field(value, key, name);
  const bool whole = found.is_number_unsigned() ? found.get<std::uint64_t>() <= int_limit : found.is_number_integer();
  if (!whole || found.get<std::int64_t>() < 0) wrong_type(key, "a whole number from 0 to 2147483647", name);
  return found.get<std::int64_t>();
}

std::string string_or(const Json& value, const char* key, const std::string& fallback, const std::string& name) {
  return is_absent(value, key) ? fallback : string_field(value, key, name);
}

bool bool_or(const Json& value, const char* key, bool fallback, const std::string& name) {
  return is_absent(value, key) ? fallback : bool_field(value, key, name);
}

std::string type_of(const Json& value, const std::string& name) { return string_field(value, "type", name); }

bool is_absent(const Json& value, const char* key) {
  if (!value.is_object()) return true;
  const auto found = value.find(key);
  return found == value.end() || found->is_null();
}

}  // namespace mk
