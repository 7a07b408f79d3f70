// Finds the products of encoder layers in a graph, as mirrorkit writes them in int8 and in fp32.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "graph.hpp"

namespace mk::ops {

// A product found in the graph.
struct Found {
  std::vector<Text> constants;  // in the order of inputs.hpp
  std::size_t bias = 0;         // which of them that is; whoever finds it puts its name there
  std::vector<std::size_t> nodes;
  std::size_t last = 0;  // of them, the one that gives the product without bias
  Sizes sizes;           // of the matrix
};

class Products {
 public:
  virtual ~Products() = default;

  // The product that `value` goes into, and no other.
  virtual std::optional<Found> product_of(Text value) const = 0;
  // What gives an attention its queries, keys and values, with the bias, and in `x` what is multiplied there.
  virtual std::optional<Found> product_before(const Node& attention, Text& x) const = 0;
};

std::unique_ptr<Products> int8_products(const Graph& graph);
// Their operator multiplies in bf16.
std::unique_ptr<Products> fp32_products(const Graph& graph);

// The bias that a node adds to `value`, among `count` inputs; empty where it does anything else.
Text bias_beside(const Graph& graph, const Node& node, Text value, std::size_t count);

}  // namespace mk::ops
