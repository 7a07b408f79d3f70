// As much of protobuf as it takes to look through an ONNX graph and to write one from pieces of it.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mk::ops {

class Malformed : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Field {
  std::uint64_t number;
  std::string_view whole;    // with its tag
  std::string_view content;  // of text, bytes and messages; of a fixed number its bytes
  std::uint64_t value;       // of a varint
};

// The fields of a message, one after the other; or the numbers, where it is a list of those.
class Fields {
 public:
  explicit Fields(std::string_view message) : left_(message) {}

  bool next(Field& field) {
    if (left_.empty()) return false;
    const std::string_view before = left_;
    const std::uint64_t tag = varint();
    field = {tag >> 3, {}, {}, 0};
    switch (tag & 7) {
      case 0: field.value = varint(); break;
      case 1: field.content = take(8); break;
      case 2: field.content = take(varint()); break;
      case 5: field.content = take(4); break;
      default: throw Malformed("a field of an unknown kind");
    }
    if (field.number == 0) throw Malformed("a field without a number");
    field.whole = before.substr(0, before.size() - left_.size());
    return true;
  }

  bool done() const { return left_.empty(); }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    throw Malformed("a number without end");
  }

 private:
  std::string_view take(std::uint64_t size) {
    if (size > left_.size()) throw Malformed("cut short");
    const std::string_view taken = left_.substr(0, static_cast<std::size_t>(size));
    left_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view left_;
};

inline void put_varint(std::string& out, std::uint64_t value) {
  for (; value > 0x7F; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

inline void put_number(std::string& out, std::uint64_t field, std::uint64_t value) {
  put_varint(out, field << 3);
  put_varint(out, value);
}

inline void put_bytes(std::string& out, std::uint64_t field, std::string_view content) {
  put_varint(out, field << 3 | 2);
  put_varint(out, content.size());
  out.append(content);
}

}  // namespace mk::ops
