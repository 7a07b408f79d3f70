// One encoder layer in int8: attention and feed-forward, each added to what goes in and normalized after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <vector>

#include "kernels.hpp"

namespace mk::ops {

// What goes into a product with a matrix of bytes, as QuantizeLinear and DequantizeLinear have it.
struct Quantized {
  const std::int8_t* weight;   // [rows, columns]
  const float* weight_scale;   // [columns]
  const float* bias;           // [columns]
  const float* factors;        // [rows], what the input is multiplied by first, or null
  float scale;                 // of the input
  std::uint8_t zero;           // the byte that stands for 0 there
  std::size_t rows, columns;
};

struct Norm {
  const float *gamma, *beta;  // [hidden]
};

// Calls a function with 0..count, on several threads or not.
using Each = std::function<void(std::size_t count, const std::function<void(std::size_t)>&)>;

// A product made ready: weights as the processor wants them, and what makes bytes of its input.
class Product {
 public:
  // The first `stretched` columns of the result come out multiplied by `stretch`.
  explicit Product(const Quantized& from, std::size_t stretched = 0, float stretch = 1);

  const Matrix& matrix() const { return matrix_; }
  Scaling scaling() const { return {by_.data(), zero_}; }
  std::size_t step() const { return 4 * matrix_.fours; }  // between rows of bytes

 private:
  void pack(const Quantized& from);

  struct Free {
    void operator()(std::int8_t* bytes) const { ::operator delete[](bytes, std::align_val_t{64}); }
  };
  std::unique_ptr<std::int8_t[], Free> packed_;
  std::vector<std::int32_t> start_;
  std::vector<float> scale_, bias_, by_;
  float zero_;
  Matrix matrix_;
};

class Layer {
 public:
  struct Parts {
    std::size_t hidden, heads;
    float scale;    // of the scores
    float epsilon;  // of both norms
    Quantized attention_in, attention_out, up, down;
    Norm first, second;
  };

  // Copies what it needs; throws std::invalid_argument for parts that do not fit together.
  explicit Layer(const Parts& parts);

  std::size_t hidden() const { return hidden_; }

  // x and out [batch, length, hidden], mask [batch, length]: what is 0 is no token, and comes out as zeros.
  void run(const float* x, const std::int32_t* mask, std::size_t batch, std::size_t length, float* out,
           const Each& each) const;

 private:
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
  void multiply(const Product& by, const std::uint8_t* rows, std::size_t count, float* out, const Each& each) const;

  const Kernels& kernels_;
  std::size_t hidden_, heads_;
  float epsilon_;
  Product in_, out_, up_, down_;
  std::vector<float> norms_[4];
};

}  // namespace mk::ops
