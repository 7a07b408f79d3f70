// One encoder layer: attention and feed-forward, each added to what goes in and normalized after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "product.hpp"

namespace mk::ops {

struct Norm {
  const float *gamma, *beta;  // [hidden]
};

// Calls a function with 0..count, on several threads or not.
using Each = std::function<void(std::size_t count, const std::function<void(std::size_t)>&)>;

template <typename Kind>
class Layer {
 public:
  struct Parts {
    std::size_t hidden, heads;
    float scale;    // of the scores
    float epsilon;  // of both norms
    Given<Kind> attention_in, attention_out, up, down;
    Norm first, second;
  };

  // Copies what it needs; throws std::invalid_argument for parts that do not fit together, and for a processor that
  // does not multiply such values.
  explicit Layer(const Parts& parts);

  std::size_t hidden() const { return hidden_; }

  // x and out [batch, length, hidden], mask [batch, length]: what is 0 is no token, and comes out as zeros.
  void run(const float* x, const std::int32_t* mask, std::size_t batch, std::size_t length, float* out,
           const Each& each) const;

 private:
  using Value = typename Kind::Value;
  struct Span {
    std::size_t first, length;  // of the tokens of one text among all
  };
  struct Tokens {
    std::vector<std::size_t> places;  // in the batch, of what is a token
    std::vector<Span> texts;
  };
  struct Block;

  static const Parts& checked(const Parts& parts);

  void run_block(const float* x, const Tokens& tokens, std::size_t first, std::size_t last, float* out,
                 const Each& each) const;
  void attend(const Tokens& tokens, std::size_t first, std::size_t last, Block& block, const Each& each) const;
  void multiply(const Product<Kind>& by, const Value* rows, std::size_t count, float* out, const Each& each) const;

  const Kernels<Kind>& kernels_;
  std::size_t hidden_, heads_;
  float epsilon_;
  Product<Kind> in_, out_, up_, down_;
  std::vector<float> norms_[4];
};

}  // namespace mk::ops
