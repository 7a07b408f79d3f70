// Finds encoder layers in a graph as mirrorkit writes it, and puts an operator in place of each.
//
// A layer is known by its MultiHeadAttention: before it products give queries, keys and values, after it come a
// product, residual and norm, a product with Gelu, a product, residual and norm. What differs in anything stays.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <utility>

#include "graph.hpp"
#include "inputs.hpp"
#include "kernels.hpp"
#include "ops.h"
#include "products.hpp"
#include "protobuf.hpp"

namespace mk::ops {
namespace {

constexpr Text own = "com.microsoft";

class Layers {
 public:
  // `type` is that of the operator to be put into it.
  Layers(const Graph& graph, const Products& products_of_it, Text type)
      : graph_(graph), products_(products_of_it), type_(type) {
    if (graph.has_inner_graphs()) return;
    for (std::size_t i = 0; i < nodes().size(); ++i) {
      if (nodes()[i].is("MultiHeadAttention", own)) find_layer(i);
    }
  }

  int count() const { return static_cast<int>(found_.size()); }
  std::string written() const { return graph_.written(found_, gone_); }

 private:
  const std::vector<Node>& nodes() const { return graph_.nodes(); }

  void find_layer(std::size_t attention_at) {
    const Node& attention = nodes()[attention_at];
    if (!attention.input(5).empty() || attention.inputs.size() > 6) return;
    for (const auto& each : attention.attributes) {  // any other, and it computes something else
      if (each.first != "num_heads" && each.first != "scale" && each.first != "mask_filter_value") return;
    }
    const auto mask = graph_.maker(attention.input(4), "Cast");
    if (!mask || nodes()[*mask].input(0) != "attention_mask") return;
    Text x;
    std::optional<Found> in = products_.product_before(attention, x);
    if (!in) return;
    std::vector<std::size_t> gone = {attention_at};
    std::optional<Found> out = products_.product_of(attention.output());
    const auto first = out ? norm_after(*out, x, gone) : std::nullopt;
    if (!first) return;
    const Text middle = nodes()[*first].output();
    std::optional<Found> up = products_.product_of(middle);
    const auto gelu = up ? graph_.user(nodes()[up->last].output(), "BiasGelu", own) : std::nullopt;
    if (!gelu) return;
    up->constants[up->bias] = bias_beside(graph_, nodes()[*gelu], nodes()[up->last].output(), 2);
    gone.push_back(*gelu);
    std::optional<Found> down = products_.product_of(nodes()[*gelu].output());
    const auto second = down ? norm_after(*down, middle, gone) : std::nullopt;
    if (!second) return;
    put_layer(attention, x, {&*in, &*out, &*up, &*down}, nodes()[*first], *second, gone);
  }

  // The norm of what a product, its bias and `residual` come to.
  std::optional<std::size_t> norm_after(Found& found, Text residual, std::vector<std::size_t>& gone) const {
    const Text value = nodes()[found.last].output();
    const auto sum = graph_.user(value, "Sum");
    if (!sum) return std::nullopt;
    const std::vector<Text>& parts = nodes()[*sum].inputs;
    if (std::count(parts.begin(), parts.end(), residual) != 1) return std::nullopt;
    found.constants[found.bias] = bias_beside(graph_, nodes()[*sum], value, 3);
    const auto norm = graph_.user(nodes()[*sum].output(), "LayerNormalization");
    if (!norm || nodes()[*norm].outputs.size() != 1) return std::nullopt;
    gone.push_back(*sum);
    gone.push_back(*norm);
    return norm;
  }

  void put_layer(const Node& attention, Text x, const std::array<Found*, products>& found, const Node& first,
                 std::size_t last, std::vector<std::size_t> gone) {
    const Node& second = nodes()[last];
    std::vector<Text> names = {x, attention.input(4)};
    for (Found* product : found) {
      names.insert(names.end(), product->constants.begin(), product->constants.end());
      gone.insert(gone.end(), product->nodes.begin(), product->nodes.end());
    }
    for (const Node* norm : {&first, &second}) names.insert(names.end(), {norm->input(1), norm->input(2)});
    const std::set<std::size_t> layer(gone.begin(), gone.end());
    const auto constant = [&](Text name) { return graph_.constant(name) != nullptr; };
    if (!std::all_of(names.begin() + first_product, names.end(), constant) || !fitting(attention, found)) return;
    if (!same_attribute(first, second, "epsilon") || !same_attribute(first, second, "axis")) return;
    if (!graph_.leaves_alone(layer, last)) return;
    std::string node;
    for (const Text name : names) put_bytes(node, node_field::input, name);
    put_bytes(node, node_field::output, second.output());
    put_bytes(node, node_field::name, std::string(attention.name) + "/" + std::string(type_));
    put_bytes(node, node_field::op_type, type_);
    put_bytes(node, node_field::domain, domain_name);
    const std::pair<const Node*, Text> kept[] = {
        {&attention, "num_heads"}, {&attention, "scale"}, {&second, "epsilon"}};
    for (const auto& [from, name] : kept) {
      const auto attribute = from->attributes.find(name);
      if (attribute == from->attributes.end()) return;
      node.append(attribute->second);
    }
    gone_.insert(layer.begin(), layer.end());
    found_[last] = std::move(node);
  }

  // Whether the operator takes matrices of these sizes; see Layer::checked.
  bool fitting(const Node& attention, const std::array<Found*, products>& found) const {
    const std::uint64_t heads = attention.number("num_heads");
    if (heads == 0) return false;
    const auto of = [&](std::size_t i) -> const Sizes& { return found[i]->sizes; };
    const std::uint64_t hidden = of(1)[0], inner = of(2)[1];
    return hidden % heads == 0 && hidden / heads % 16 == 0 && of(0) == Sizes{hidden, 3 * hidden} &&
           of(1) == Sizes{hidden, hidden} && of(2) == Sizes{hidden, inner} && of(3) == Sizes{inner, hidden};
  }

  static bool same_attribute(const Node& one, const Node& other, Text name) {
    const auto a = one.attributes.find(name), b = other.attributes.find(name);
    if (a == one.attributes.end() || b == other.attributes.end()) {
      return a == one.attributes.end() && b == other.attributes.end();
    }
    return a->second == b->second;
  }

  const Graph& graph_;
  const Products& products_;
  const Text type_;
  std::map<std::size_t, std::string> found_;  // operators, by the node whose output is the layer's
  std::set<std::size_t> gone_;
};

int rewrite(Text model, Text precision, std::string& out) {
  const bool bf16 = precision == Bf16::name;
  if (!bf16 && precision != Int8::name) return -1;
  Field field;
  int count = 0;
  for (Fields fields(model); fields.next(field);) {
    if (field.number != model_field::graph) {
      out.append(field.whole);
      continue;
    }
    const Graph graph(field.content);
    const auto found = bf16 ? fp32_products(graph) : int8_products(graph);
    const Layers layers(graph, *found, bf16 ? bf16_operator : int8_operator);
    count += layers.count();
    put_bytes(out, model_field::graph, layers.written());
  }
  std::string opset;
  put_bytes(opset, opset_field::domain, domain_name);
  put_number(opset, opset_field::version, 1);
  put_bytes(out, model_field::opset, opset);
  return count;
}

}  // namespace
}  // namespace mk::ops

extern "C" __attribute__((visibility("default"))) int mirrorkit_ops_rewrite(const void* graph, size_t size,
                                                                           const char* precision, void** out,
                                                                           size_t* out_size) {
  *out = nullptr;
  *out_size = 0;
  try {
    std::string result;
    const int layers = mk::ops::rewrite({static_cast<const char*>(graph), size}, precision, result);
    if (layers <= 0) return layers;
    *out = std::malloc(result.size());
    if (*out == nullptr) return -1;
    std::memcpy(*out, result.data(), result.size());
    *out_size = result.size();
    return layers;
  } catch (const std::exception&) {
    return -1;
  }
}

extern "C" __attribute__((visibility("default"))) void mirrorkit_ops_free(void* graph) { std::free(graph); }
