#include "batching.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace mk {
namespace {

constexpr std::size_t pass_cost = 16;  // tokens of padding that cost as much as another pass through the graph

// Texts of one length: their number, and how many are shorter.
struct Group {
  std::size_t length, before, count;
};

std::vector<Group> groups(const std::vector<std::size_t>& lengths, const std::vector<std::size_t>& order) {
  std::vector<Group> result;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (result.empty() || result.back().length != lengths[order[i]]) result.push_back({lengths[order[i]], i, 0});
    ++result.back().count;
  }
  return result;
}

// For each group, the first one of the chunk that ends with it in the cheapest cut of all up to it.
std::vector<std::size_t> chunk_starts(const std::vector<Group>& all) {
  std::vector<std::size_t> best(all.size() + 1, 0), starts(all.size(), 0);
  for (std::size_t last = 0; last < all.size(); ++last) {
    best[last + 1] = std::numeric_limits<std::size_t>::max();
    const std::size_t end = all[last].before + all[last].count;
    for (std::size_t first = 0; first <= last; ++first) {
      const std::size_t cost = best[first] + (end - all[first].before) * all[last].length + pass_cost;
      if (cost >= best[last + 1]) continue;
      best[last + 1] = cost;
      starts[last] = first;
    }
  }
  return starts;
}

}  // namespace

std::vector<std::vector<std::size_t>> batches(const std::vector<std::size_t>& lengths, std::size_t budget) {
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return lengths[a] < lengths[b]; });
  const std::vector<Group> all = groups(lengths, order);
  const std::vector<std::size_t> starts = chunk_starts(all);
  std::vector<std::vector<std::size_t>> result;
  for (std::size_t end = all.size(); end > 0; end = starts[end - 1]) {
    const std::size_t width = std::max<std::size_t>(all[end - 1].length, 1);
    const std::size_t size = std::max<std::size_t>(budget / width, 1);
    const std::size_t after = all[end - 1].before + all[end - 1].count;
    for (std::size_t at = all[starts[end - 1]].before; at < after; at += size) {
      result.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(at),
                          order.begin() + static_cast<std::ptrdiff_t>(std::min(at + size, after)));
    }
  }
  return result;  // longest first, so that a batch that does not fit in memory fails at once
}

}  // namespace mk
