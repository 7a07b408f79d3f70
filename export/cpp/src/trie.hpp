// A trie over byte strings, laid out level by level: what a vocabulary is looked up in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mk {

class Trie {
 public:
  using Entry = std::pair<std::string_view, std::int32_t>;  // the value is not negative
  static constexpr std::int32_t none = -1;
  static constexpr std::uint32_t root = 0;
  static constexpr std::uint32_t no_node = 0xFFFFFFFF;

  // Of entries with the same key the last one counts.
  explicit Trie(std::vector<Entry> entries);

  std::uint32_t child(std::uint32_t node, char byte) const {
    const auto label = static_cast<unsigned char>(byte);
    if (node == root) return from_root_[label];
    const Node& parent = nodes_[node];
    const unsigned char* labels = labels_.data() + parent.first;
    for (std::uint32_t i = 0; i < parent.children; ++i) {
      if (labels[i] >= label) return labels[i] == label ? parent.first + i : no_node;
    }
    return no_node;
  }
  std::int32_t value(std::uint32_t node) const { return nodes_[node].value; }

  // Returns the node that `key` leads to from `node`, or no_node.
  std::uint32_t walk(std::uint32_t node, std::string_view key) const;

  // Returns the value of `key`, or none.
  std::int32_t find(std::string_view key) const;

 private:
  struct Node {
    std::uint32_t first;  // node number of the first child; the others follow it, in the order of their bytes
    std::uint32_t children;
    std::int32_t value;
  };
  std::vector<Node> nodes_;
  std::vector<unsigned char> labels_;  // of each node: the byte that leads to it
  std::vector<std::uint32_t> from_root_;
};

}  // namespace mk
