#include "graph_paths.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "error.hpp"
#include "within.hpp"

namespace mk {
namespace {

namespace fs = std::filesystem;

// The messages of onnx.proto that can hold the name of a file, at any depth.
enum class Message { none, model, training, function, graph, node, attribute, sparse, tensor, entry };

constexpr int most_fields = 5'000'000;  // real graphs have some ten thousand
constexpr std::size_t deepest = 256;    // messages within messages
constexpr std::uint64_t longest_name = 100'000, op_type = 4;
constexpr auto memory = "_ORT_MEM_ADDR_";  // in a name, has ONNX Runtime read at an address instead of from a file

// What a field of a message holds, as far as there is anything in it to walk into.
Message inner(Message message, std::uint64_t field) {
  switch (message) {
    case Message::model:
      return field == 7    ? Message::graph
             : field == 20 ? Message::training
             : field == 25 ? Message::function
                           : Message::none;
    case Message::training: return field == 1 || field == 2 ? Message::graph : Message::none;
    case Message::function: return field == 7 ? Message::node : field == 11 ? Message::attribute : Message::none;
    case Message::graph:
      return field == 1 ? Message::node : field == 5 ? Message::tensor : field == 15 ? Message::sparse : Message::none;
    case Message::node: return field == 5 ? Message::attribute : Message::none;
    case Message::attribute:
      if (field == 5 || field == 10) return Message::tensor;
      if (field == 6 || field == 11) return Message::graph;
      return field == 22 || field == 23 ? Message::sparse : Message::none;
    case Message::sparse: return field == 1 || field == 2 ? Message::tensor : Message::none;
    case Message::tensor: return field == 13 ? Message::entry : Message::none;
    default: return Message::none;
  }
}

// A name that anybody may have chosen, fit for a message: bytes beyond printable ASCII as question marks.
std::string shown(std::string name) {
  if (name.size() > 200) name.resize(200);
  std::replace_if(name.begin(), name.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return name;
}

class Walk {
 public:
  explicit Walk(const fs::path& graph)
      : name_(graph.u8string()), folder_(graph.parent_path()), file_(graph, std::ios::binary) {
    if (graph.extension() == ".ort")
      bad_bundle(name_ + ": is in ONNX Runtime's own format; only .onnx files are opened");
    if (!file_) throw Error(Status::not_found, name_ + ": cannot be read");
    std::error_code error;
    size_ = fs::file_size(graph, error);
    if (error) throw Error(Status::not_found, name_ + ": cannot be read");
    if (size_ == 0) bad_bundle(name_ + ": is empty");
  }

  void run() {
    open_.push_back({Message::model, size_, {}, {}});
    while (!open_.empty()) {
      if (at_ == open_.back().end) {
        close();
      } else {
        step();
      }
    }
  }

 private:
  struct Open {
    Message message;
    std::uint64_t end;
    std::string key, value;  // of an entry
  };

  [[noreturn]] void malformed(const std::string& what) const {
    bad_bundle(name_ + ": not a readable ONNX file (" + what + ")");
  }

  void step() {
    if (++seen_ > most_fields) malformed("more than " + std::to_string(most_fields) + " parts");
    const std::uint64_t end = open_.back().end, tag = varint(end), field = tag >> 3, kind = tag & 7;
    if (kind == 0) {
      varint(end);
      return;
    }
    if (kind != 1 && kind != 2 && kind != 5) malformed("a field of kind " + std::to_string(kind));
    const std::uint64_t length = kind == 2 ? varint(end) : kind == 1 ? 8 : 4;
    if (length > end - at_) malformed("cut short");
    const Message message = open_.back().message;
    if (const Message in = inner(message, field); in != Message::none) {
      if (open_.size() >= deepest) malformed("graphs within graphs without end");
      open_.push_back({in, at_ + length, {}, {}});
    } else if (message == Message::entry && field == 1) {
      open_.back().key = text(length);
    } else if (message == Message::entry && field == 2) {
      open_.back().value = text(length);
    } else if (message == Message::node && field == op_type) {
      if (text(length) == "EPContext")
        bad_bundle(name_ + ": holds an operator EPContext, which runs a binary made elsewhere");
    } else {
      at_ += length;
      file_.seekg(static_cast<std::streamoff>(at_));
    }
  }

  void close() {
    const Open done = open_.back();
    open_.pop_back();
    if (done.message != Message::entry || done.key != "location") return;
    std::error_code error;
    if (done.value.find(memory) != std::string::npos || !is_within(folder_, done.value) ||
        !fs::is_regular_file(folder_ / fs::u8path(done.value), error)) {
      bad_bundle(name_ + ": reads weights from '" + shown(done.value) + "', which is not a file in its folder");
    }
  }

  std::uint64_t varint(std::uint64_t end) {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 70 && at_ < end; shift += 7) {
      const int byte = file_.get();
      ++at_;
      if (byte == std::char_traits<char>::eof()) break;
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    malformed("cut short");
  }

  std::string text(std::uint64_t length) {
    if (length > longest_name) malformed("a name of " + std::to_string(length) + " bytes");
    std::string found(length, '\0');
    if (!file_.read(found.data(), static_cast<std::streamsize>(length))) malformed("cut short");
    at_ += length;
    return found;
  }

  std::string name_;
  fs::path folder_;
  std::ifstream file_;
  std::uint64_t size_ = 0, at_ = 0;
  int seen_ = 0;
  std::vector<Open> open_;
};

}  // namespace

void check_graph_paths(const fs::path& graph) { Walk(graph).run(); }

}  // namespace mk
