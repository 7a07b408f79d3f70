#include "packed.hpp"

#include <cstdint>

#include "error.hpp"
#include "sha256.hpp"
#include "unicode.hpp"

namespace mk {
namespace {

// The format is docs/bundle.md's; mirrorkit/formats/packed.py reads the same.
constexpr std::string_view manifest = "mirrorkit.json";
constexpr std::string_view mark = "mirrorkit bundle 1 sha256 ";  // begins the archive's comment
constexpr std::size_t digest_size = 64;
constexpr std::size_t comment_size = mark.size() + digest_size;
constexpr std::uint32_t local_signature = 0x04034b50, entry_signature = 0x02014b50, end_signature = 0x06054b50,
                        end64_signature = 0x06064b50, locator_signature = 0x07064b50;
constexpr std::size_t local_size = 30, entry_size = 46, end_size = 22, end64_size = 56, locator_size = 20;
constexpr std::uint64_t most_members = 10'000, longest_name = 512;
constexpr std::uint32_t in_64_bits = 0xFFFFFFFF;  // instead of a number that has no room in 32
constexpr std::uint16_t encrypted = 1, zip64_field = 1;

struct Entry {
  std::string name;
  std::uint64_t size, place;  // bytes; of its local header
};

class Archive {
 public:
  Archive(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  std::map<std::string, std::string_view> members() {
    read_end();
    std::map<std::string, std::string_view> found;
    std::uint64_t end = 0, at = directory_;
    for (std::uint64_t i = 0; i < count_; ++i) {
      const Entry entry = read_entry(at);
      check_name(entry.name);
      if (entry.place < end) bad("its members overlap");
      const std::string_view content = content_of(entry);
      end = static_cast<std::uint64_t>(content.data() - bytes_.data()) + content.size();
      if (end > directory_) bad("its members overlap");
      if (!found.emplace(entry.name, content).second) bad("holds two files called " + entry.name);
    }
    if (at != directory_end_) bad("its list of members does not end where it should");
    check_names(found);
    check_manifest(found);
    return found;
  }

 private:
  [[noreturn]] void bad(const std::string& what) const {
    bad_bundle(name_ + ": not a whole bundle as mirrorkit pack writes it: " + what);
  }

  template <typename T>
  T number(std::uint64_t at) const {
    if (at > bytes_.size() || bytes_.size() - at < sizeof(T)) bad("cut short");
    const std::string_view rest = bytes_.substr(static_cast<std::size_t>(at));
    T value = 0;
    for (std::size_t i = sizeof(T); i-- > 0;) {
      value = static_cast<T>(static_cast<std::uint64_t>(value) << 8 | static_cast<unsigned char>(rest[i]));
    }
    return value;
  }

  std::string_view slice(std::uint64_t at, std::uint64_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) bad("cut short");
    return bytes_.substr(static_cast<std::size_t>(at), static_cast<std::size_t>(size));
  }

  void expect(std::uint64_t at, std::uint32_t signature) const {
    if (number<std::uint32_t>(at) != signature) bad("its parts are not where they should be");
  }

  // The comment is as long in every such file, so that its end is where it can be found.
  void read_end() {
    if (bytes_.size() < end_size + comment_size) bad("cut short");
    const std::uint64_t end = bytes_.size() - end_size - comment_size;
    comment_ = slice(end + end_size, comment_size);
    if (comment_.substr(0, mark.size()) != mark || number<std::uint32_t>(end) != end_signature ||
        number<std::uint16_t>(end + 20) != comment_size) {
      bad("cut short, or changed by another program");
    }
    count_ = number<std::uint16_t>(end + 10);
    std::uint64_t size = number<std::uint32_t>(end + 12);
    directory_ = number<std::uint32_t>(end + 16);
    std::uint64_t after = end;
    if (count_ == 0xFFFF || size == in_64_bits || directory_ == in_64_bits) {
      if (end < locator_size + end64_size) bad("cut short");
      const std::uint64_t locator = end - locator_size;
      after = locator - end64_size;
      expect(locator, locator_signature);
      expect(after, end64_signature);
      if (number<std::uint64_t>(locator + 8) != after) bad("its parts are not where they should be");
      count_ = number<std::uint64_t>(after + 32);
      size = number<std::uint64_t>(after + 40);
      directory_ = number<std::uint64_t>(after + 48);
    }
    if (count_ > most_members) bad("says that it holds " + std::to_string(count_) + " files");
    if (directory_ > after || size != after - directory_) bad("its list of members is not where it should be");
    directory_end_ = after;
  }

  // Reads the entry of the list of members at `at`, and moves that behind it.
  Entry read_entry(std::uint64_t& at) const {
    if (directory_end_ - at < entry_size) bad("its list of members is cut short");
    expect(at, entry_signature);
    const std::uint64_t name_size = number<std::uint16_t>(at + 28), extra_size = number<std::uint16_t>(at + 30),
                        comment_length = number<std::uint16_t>(at + 32);
    const std::uint64_t extra = at + entry_size + name_size, next = extra + extra_size + comment_length;
    if (next > directory_end_) bad("its list of members is cut short");
    Entry entry{std::string(slice(at + entry_size, name_size)), number<std::uint32_t>(at + 24),
                number<std::uint32_t>(at + 42)};
    const std::uint64_t packed = widened(number<std::uint32_t>(at + 20), extra, extra_size, entry);
    if (number<std::uint16_t>(at + 10) != 0 || packed != entry.size) bad("holds a compressed file");
    if ((number<std::uint16_t>(at + 8) & encrypted) != 0) bad("holds an encrypted file");
    at = next;
    return entry;
  }

  // Reads what has no room in 32 bits from the field for it among the extra ones; returns the packed size.
  std::uint64_t widened(std::uint64_t packed, std::uint64_t at, std::uint64_t size, Entry& entry) const {
    const std::uint64_t end = at + size;
    while (end - at >= 4) {
      const std::uint16_t kind = number<std::uint16_t>(at), length = number<std::uint16_t>(at + 2);
      at += 4;
      if (length > end - at) bad("its list of members is cut short");
      if (kind == zip64_field) {
        std::uint64_t field = at;
        for (std::uint64_t* value : {&entry.size, &packed, &entry.place}) {
          if (*value != in_64_bits) continue;
          if (at + length - field < 8) bad("its list of members is cut short");
          *value = number<std::uint64_t>(field);
          field += 8;
        }
      }
      at += length;
    }
    return packed;
  }

  std::string_view content_of(const Entry& entry) const {
    expect(entry.place, local_signature);
    const std::uint64_t name_size = number<std::uint16_t>(entry.place + 26);
    const std::uint64_t extra_size = number<std::uint16_t>(entry.place + 28);
    if (slice(entry.place + local_size, name_size) != entry.name) bad("its members are not those on its list");
    return slice(entry.place + local_size + name_size + extra_size, entry.size);
  }

  // A path in a folder, with forward slashes and no step back.
  void check_name(const std::string& name) const {
    const std::string slashed = "/" + name + "/";
    const bool plain = !name.empty() && name.size() <= longest_name && unicode::is_valid_utf8(name) &&
                       name.find_first_of(std::string_view("\\:\0", 3)) == std::string::npos &&
                       slashed.find("//") == std::string::npos && slashed.find("/./") == std::string::npos &&
                       slashed.find("/../") == std::string::npos;
    bool control = false;
    for (const char c : name) control = control || (c >= 0 && c < ' ') || c == 127;
    if (!plain || control) bad("the name of a member is no path in a folder");
  }

  // No file may be where another one has a folder.
  void check_names(const std::map<std::string, std::string_view>& found) const {
    for (const auto& [name, content] : found) {
      for (std::size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 1)) {
        if (found.count(name.substr(0, at)) > 0) bad(name + " lies in what is itself a file");
      }
    }
  }

  void check_manifest(const std::map<std::string, std::string_view>& found) const {
    const auto entry = found.find(std::string(manifest));
    if (entry == found.end()) bad("has no mirrorkit.json");
    if (sha256_of(entry->second) != comment_.substr(mark.size())) {
      bad("mirrorkit.json was changed or damaged (its SHA-256 is not the recorded one)");
    }
  }

  std::string_view bytes_, comment_;
  const std::string& name_;
  std::uint64_t count_ = 0, directory_ = 0, directory_end_ = 0;
};

}  // namespace

bool is_packed(std::string_view bytes) {
  return bytes.size() > local_size + manifest.size() && bytes.substr(0, 4) == "PK\x03\x04" &&
         bytes.substr(local_size, manifest.size()) == manifest;
}

std::map<std::string, std::string_view> packed_members(std::string_view bytes, const std::string& name) {
  return Archive(bytes, name).members();
}

}  // namespace mk
