#include "products.hpp"

#include <algorithm>

#include "inputs.hpp"

namespace mk::ops {
namespace {

class Int8Products : public Products {
 public:
  explicit Int8Products(const Graph& graph) : graph_(graph) {}

  std::optional<Found> product_of(Text value) const override {
    std::vector<Text> evened = {value};
    for (const std::size_t i : graph_.users(value, "Mul")) evened.push_back(nodes()[i].output());
    std::optional<Found> result;
    for (const Text each : evened) {
      for (const std::size_t quantize : graph_.users(each, "QuantizeLinear")) {
        const auto dequantize = graph_.user(nodes()[quantize].output(), "DequantizeLinear");
        const auto multiply = dequantize ? graph_.user(nodes()[*dequantize].output(), "MatMul") : std::nullopt;
        if (!multiply || result) return std::nullopt;
        Text from;
        result = product(nodes()[*multiply].output(), from);
        if (!result || from != value) return std::nullopt;
      }
    }
    return result;
  }

  // One product gives all three.
  std::optional<Found> product_before(const Node& attention, Text& x) const override {
    if (!attention.input(3).empty()) return std::nullopt;
    const auto split = graph_.maker(attention.input(0), "Split");
    if (!split || nodes()[*split].outputs.size() != 3) return std::nullopt;
    for (std::size_t i = 0; i < 3; ++i) {
      if (attention.input(i) != nodes()[*split].outputs[i]) return std::nullopt;
    }
    const auto add = graph_.maker(nodes()[*split].input(0), "Add");
    if (!add) return std::nullopt;
    std::optional<Found> in;
    for (const Text value : nodes()[*add].inputs) {
      if (!in && (in = product(value, x))) in->constants[in->bias] = bias_beside(graph_, nodes()[*add], value, 2);
    }
    if (in) in->nodes.insert(in->nodes.end(), {*split, *add});
    return in;
  }

 private:
  const std::vector<Node>& nodes() const { return graph_.nodes(); }

  // The product behind `value`, and in `from` what is multiplied there.
  std::optional<Found> product(Text value, Text& from) const {
    const auto multiply = graph_.maker(value, "MatMul");
    if (!multiply) return std::nullopt;
    const auto left = graph_.maker(nodes()[*multiply].input(0), "DequantizeLinear");
    const auto right = graph_.maker(nodes()[*multiply].input(1), "DequantizeLinear");
    if (!left || !right) return std::nullopt;
    const auto bytes = graph_.maker(nodes()[*left].input(0), "QuantizeLinear");
    if (!bytes) return std::nullopt;
    const Node &dequantize = nodes()[*left], &quantize = nodes()[*bytes], &weight = nodes()[*right];
    if (quantize.input(1) != dequantize.input(1) || quantize.input(2) != dequantize.input(2)) return std::nullopt;
    const Sizes* matrix = graph_.constant(weight.input(0));
    if (matrix == nullptr || matrix->size() != 2) return std::nullopt;
    Found found;
    found.constants = {weight.input(0), weight.input(1), weight.input(2), {}, quantize.input(1), quantize.input(1),
                       quantize.input(2)};
    found.bias = bias_input;
    found.nodes = {*bytes, *left, *right, *multiply};
    found.last = *multiply;
    found.sizes = *matrix;
    from = quantize.input(0);
    const auto factors = graph_.maker(from, "Mul");
    const Sizes* known = factors ? graph_.constant(nodes()[*factors].input(1)) : nullptr;
    if (known != nullptr && *known == Sizes{(*matrix)[0]}) {
      found.constants[factors_input] = nodes()[*factors].input(1);
      found.nodes.push_back(*factors);
      from = nodes()[*factors].input(0);
    }
    return found;
  }

  const Graph& graph_;
};

class Fp32Products : public Products {
 public:
  explicit Fp32Products(const Graph& graph) : graph_(graph) {}

  std::optional<Found> product_of(Text value) const override {
    const auto multiply = graph_.user(value, "MatMul");
    return multiply ? product(*multiply, value) : std::nullopt;
  }

  // Three products of the same, whose biases the attention itself adds.
  std::optional<Found> product_before(const Node& attention, Text& x) const override {
    Found found;
    for (std::size_t i = 0; i < parts_of_first; ++i) {
      const auto multiply = graph_.maker(attention.input(i), "MatMul");
      if (!multiply) return std::nullopt;
      if (i == 0) x = graph_.nodes()[*multiply].input(0);
      const auto part = product(*multiply, x);
      if (!part || (i > 0 && part->sizes != found.sizes)) return std::nullopt;
      found.constants.push_back(part->constants[0]);
      found.nodes.push_back(*multiply);
      found.sizes = part->sizes;
    }
    found.sizes[1] *= parts_of_first;
    found.bias = found.constants.size();
    found.constants.push_back(attention.input(3));
    return found;
  }

 private:
  std::optional<Found> product(std::size_t multiply, Text value) const {
    const Node& node = graph_.nodes()[multiply];
    const Sizes* matrix = graph_.constant(node.input(1));
    if (node.input(0) != value || matrix == nullptr || matrix->size() != 2) return std::nullopt;
    Found found;
    found.constants = {node.input(1), {}};
    found.bias = 1;
    found.nodes = {multiply};
    found.last = multiply;
    found.sizes = *matrix;
    return found;
  }

  const Graph& graph_;
};

}  // namespace

std::unique_ptr<Products> int8_products(const Graph& graph) { return std::make_unique<Int8Products>(graph); }

std::unique_ptr<Products> fp32_products(const Graph& graph) { return std::make_unique<Fp32Products>(graph); }

Text bias_beside(const Graph& graph, const Node& node, Text value, std::size_t count) {
  if (node.inputs.size() != count || std::count(node.inputs.begin(), node.inputs.end(), value) != 1) return {};
  for (const Text name : node.inputs) {
    if (graph.constant(name) != nullptr) return name;
  }
  return {};
}

}  // namespace mk::ops
