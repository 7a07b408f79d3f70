#include "graph.hpp"

#include <algorithm>
#include <utility>

#include "protobuf.hpp"

namespace mk::ops {
namespace {

namespace attribute_field {
enum : std::uint64_t { name = 1, number = 3, graph = 6, graphs = 11 };
}
constexpr std::uint64_t tensor_dims = 1, tensor_name = 8, value_name = 1;

Text text_of(Text message, std::uint64_t number) {
  Text found;
  Field field;
  for (Fields fields(message); fields.next(field);) {
    if (field.number == number) found = field.content;
  }
  return found;
}

Sizes sizes_of(Text tensor) {
  Sizes found;
  Field field;
  for (Fields fields(tensor); fields.next(field);) {
    if (field.number != tensor_dims) continue;
    if (field.content.empty()) {
      found.push_back(field.value);
    } else {  // all in one field
      for (Fields each(field.content); !each.done();) found.push_back(each.varint());
    }
  }
  return found;
}

}  // namespace

std::uint64_t Node::number(Text attribute) const {
  const auto found = attributes.find(attribute);
  if (found == attributes.end()) return 0;
  std::uint64_t number = 0;
  Field field;
  Fields whole(found->second);
  whole.next(field);
  for (Fields fields(field.content); fields.next(field);) {
    if (field.number == attribute_field::number) number = field.value;
  }
  return number;
}

Graph::Graph(Text message) : message_(message) {
  Field field;
  for (Fields fields(message); fields.next(field);) {
    if (field.number == graph_field::node) add(field.content);
    if (field.number == graph_field::initializer) {
      constants_[text_of(field.content, tensor_name)] = sizes_of(field.content);
    }
    if (field.number == graph_field::output) outputs_.insert(text_of(field.content, value_name));
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    for (const Text output : nodes_[i].outputs) maker_[output] = i;
    for (const Text input : nodes_[i].inputs) users_[input].push_back(i);
  }
  maker_.erase("");  // the name of what is left out
  users_.erase("");
  constants_.erase("");
}

void Graph::add(Text message) {
  Node node;
  Field field;
  for (Fields fields(message); fields.next(field);) {
    switch (field.number) {
      case node_field::input: node.inputs.push_back(field.content); break;
      case node_field::output: node.outputs.push_back(field.content); break;
      case node_field::name: node.name = field.content; break;
      case node_field::op_type: node.op_type = field.content; break;
      case node_field::domain: node.domain = field.content; break;
      case node_field::attribute:
        node.attributes[text_of(field.content, attribute_field::name)] = field.whole;
        if (!text_of(field.content, attribute_field::graph).empty() ||
            !text_of(field.content, attribute_field::graphs).empty()) {
          inner_graphs_ = true;
        }
        break;
      default: break;
    }
  }
  nodes_.push_back(std::move(node));
}

const Sizes* Graph::constant(Text name) const {
  const auto found = constants_.find(name);
  return found == constants_.end() ? nullptr : &found->second;
}

std::optional<std::size_t> Graph::maker(Text value, Text type, Text domain) const {
  const auto found = maker_.find(value);
  if (found == maker_.end() || !nodes_[found->second].is(type, domain)) return std::nullopt;
  return found->second;
}

std::vector<std::size_t> Graph::users(Text value, Text type, Text domain) const {
  std::vector<std::size_t> result;
  const auto found = users_.find(value);
  if (found == users_.end()) return result;
  for (const std::size_t i : found->second) {
    if (nodes_[i].is(type, domain) && std::find(result.begin(), result.end(), i) == result.end()) result.push_back(i);
  }
  return result;
}

std::optional<std::size_t> Graph::user(Text value, Text type, Text domain) const {
  const auto found = users(value, type, domain);
  return found.size() == 1 ? std::optional(found[0]) : std::nullopt;
}

bool Graph::leaves_alone(const std::set<std::size_t>& nodes, std::size_t last) const {
  for (const std::size_t i : nodes) {
    if (i == last) continue;
    for (const Text output : nodes_[i].outputs) {
      if (outputs_.count(output) > 0) return false;
      const auto users = users_.find(output);
      if (users == users_.end()) continue;
      for (const std::size_t user : users->second) {
        if (nodes.count(user) == 0) return false;
      }
    }
  }
  return true;
}

std::string Graph::written(const std::map<std::size_t, std::string>& instead,
                           const std::set<std::size_t>& without) const {
  std::string out;
  Field field;
  std::size_t i = 0;
  for (Fields fields(message_); fields.next(field);) {
    if (field.number != graph_field::node) {
      out.append(field.whole);
      continue;
    }
    const auto other = instead.find(i);
    if (other != instead.end()) {
      put_bytes(out, graph_field::node, other->second);
    } else if (without.count(i) == 0) {
      out.append(field.whole);
    }
    ++i;
  }
  return out;
}

}  // namespace mk::ops
