// The inputs of the two operators, in order: tokens, mask, the constants of four products, two norms. Of a product in
// int8 there are seven constants; in bf16 there are weight and bias, and three weights of the first product.
#pragma once

#include <onnxruntime_c_api.h>

#include <array>
#include <cstddef>

namespace mk::ops {

constexpr const char* domain_name = "mirrorkit";
constexpr const char *int8_operator = "EncoderLayer", *bf16_operator = "EncoderLayerBf16";

enum : std::size_t { x_input, mask_input, first_product };
constexpr std::size_t products = 4;  // to queries, keys and values; of the attention; up; down
constexpr std::size_t norm_inputs = 4;
constexpr std::size_t parts_of_first = 3;  // queries, keys and values, in bf16

enum : std::size_t {  // of a product in int8
  weight_input,
  weight_scale_input,
  weight_zero_input,
  bias_input,
  factors_input,  // what the input is multiplied by first, a number for each row of the weight; one number: by nothing
  scale_input,
  zero_input,
  product_inputs
};

struct Input {
  const char* name;
  ONNXTensorElementDataType type;
};

constexpr std::size_t int8_inputs = first_product + products * product_inputs + norm_inputs;
constexpr std::size_t bf16_inputs = first_product + 2 * products + parts_of_first - 1 + norm_inputs;

// Puts what both operators have at the ends.
template <std::size_t count>
constexpr void put_ends(std::array<Input, count>& all) {
  constexpr auto floats = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  all[x_input] = {"x", floats};
  all[mask_input] = {"mask", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32};
  all[count - 4] = {"first_gamma", floats};
  all[count - 3] = {"first_beta", floats};
  all[count - 2] = {"second_gamma", floats};
  all[count - 1] = {"second_beta", floats};
}

constexpr std::array<Input, int8_inputs> inputs_of_int8 = [] {
  constexpr auto floats = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  std::array<Input, int8_inputs> all = {};
  put_ends(all);
  for (std::size_t i = first_product; i < int8_inputs - norm_inputs; i += product_inputs) {
    all[i + weight_input] = {"weight", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8};
    all[i + weight_scale_input] = {"weight_scale", floats};
    all[i + weight_zero_input] = {"weight_zero", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8};
    all[i + bias_input] = {"bias", floats};
    all[i + factors_input] = {"factors", floats};
    all[i + scale_input] = {"scale", floats};
    all[i + zero_input] = {"zero", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8};
  }
  return all;
}();

constexpr std::array<Input, bf16_inputs> inputs_of_bf16 = [] {
  constexpr auto floats = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  std::array<Input, bf16_inputs> all = {};
  put_ends(all);
  for (std::size_t product = 0, i = first_product; product < products; ++product) {
    for (std::size_t part = 0; part < (product == 0 ? parts_of_first : 1); ++part) all[i++] = {"weight", floats};
    all[i++] = {"bias", floats};
  }
  return all;
}();

}  // namespace mk::ops
