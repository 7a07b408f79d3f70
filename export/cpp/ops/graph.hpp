// An ONNX graph as it is serialized, looked at node by node. Everything refers to the bytes that it was read from.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mk::ops {

using Text = std::string_view;
using Sizes = std::vector<std::uint64_t>;

// Numbers of fields in onnx.proto.
namespace model_field {
enum : std::uint64_t { graph = 7, opset = 8 };
}
namespace opset_field {
enum : std::uint64_t { domain = 1, version = 2 };
}
namespace graph_field {
enum : std::uint64_t { node = 1, initializer = 5, output = 12 };
}
namespace node_field {
enum : std::uint64_t { input = 1, output = 2, name = 3, op_type = 4, attribute = 5, domain = 7 };
}

struct Node {
  Text op_type, domain, name;
  std::vector<Text> inputs, outputs;
  std::map<Text, Text> attributes;  // each as its field stands in the node

  bool is(Text type, Text of) const { return op_type == type && (domain == of || (of.empty() && domain == "ai.onnx")); }
  Text input(std::size_t i) const { return i < inputs.size() ? inputs[i] : Text(); }
  Text output() const { return outputs.empty() ? Text() : outputs[0]; }
  std::uint64_t number(Text attribute) const;  // 0 where it has none
};

class Graph {
 public:
  // Throws Malformed.
  explicit Graph(Text message);

  const std::vector<Node>& nodes() const { return nodes_; }
  bool has_inner_graphs() const { return inner_graphs_; }  // which may use any value of this one

  const Sizes* constant(Text name) const;  // sizes of its axes; null where it is none
  std::optional<std::size_t> maker(Text value, Text type, Text domain = "") const;
  std::vector<std::size_t> users(Text value, Text type, Text domain = "") const;
  // The only one of a type.
  std::optional<std::size_t> user(Text value, Text type, Text domain = "") const;
  // Whether nothing outside of these nodes needs what they give, but for the output of `last`.
  bool leaves_alone(const std::set<std::size_t>& nodes, std::size_t last) const;

  // The graph with nodes (serialized) in the places of some, and without others.
  std::string written(const std::map<std::size_t, std::string>& instead, const std::set<std::size_t>& without) const;

 private:
  void add(Text message);

  Text message_;
  std::vector<Node> nodes_;
  std::map<Text, Sizes> constants_;
  std::set<Text> outputs_;
  std::map<Text, std::size_t> maker_;
  std::map<Text, std::vector<std::size_t>> users_;
  bool inner_graphs_ = false;
};

}  // namespace mk::ops
