#include "trie.hpp"

#include <algorithm>

namespace mk {

Trie::Trie(std::vector<Entry> entries) : from_root_(256, no_node) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.first < b.first; });
  struct Range {
    std::size_t begin, end;  // the entries below a node
  };
  std::vector<Range> level = {{0, entries.size()}}, below;
  nodes_.push_back({0, 0, none});
  labels_.push_back(0);
  std::size_t first_of_level = 0;
  for (std::size_t depth = 0; !level.empty(); ++depth) {
    below.clear();
    const std::size_t first_below = nodes_.size();
    for (std::size_t i = 0; i < level.size(); ++i) {
      auto [begin, end] = level[i];
      const std::size_t node = first_of_level + i;
      for (; begin < end && entries[begin].first.size() == depth; ++begin) nodes_[node].value = entries[begin].second;
      nodes_[node].first = static_cast<std::uint32_t>(nodes_.size());
      while (begin < end) {
        const char label = entries[begin].first[depth];
        const std::size_t start = begin;
        while (begin < end && entries[begin].first[depth] == label) ++begin;
        below.push_back({start, begin});
        nodes_.push_back({0, 0, none});
        labels_.push_back(static_cast<unsigned char>(label));
        ++nodes_[node].children;
      }
    }
    first_of_level = first_below;
    level.swap(below);
  }
  for (std::uint32_t i = 0; i < nodes_[root].children; ++i) {
    from_root_[labels_[nodes_[root].first + i]] = nodes_[root].first + i;
  }
}

std::uint32_t Trie::walk(std::uint32_t node, std::string_view key) const {
  for (const char byte : key) {
    node = child(node, byte);
    if (node == no_node) return no_node;
  }
  return node;
}

std::int32_t Trie::find(std::string_view key) const {
  const std::uint32_t node = walk(root, key);
  return node == no_node ? none : value(node);
}

}  // namespace mk
