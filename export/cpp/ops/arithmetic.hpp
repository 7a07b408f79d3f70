// The arithmetic of a layer for both kinds of values. All of it but the table at the end is local to the file that
// includes it, for the reason that vectors.hpp tells; nothing of the standard library that has code is used here.
//
// What a row comes to depends on that row alone, and not on how many are computed with it: a text's vector is the same,
// every bit, whatever texts are beside it.
//
// Before it the file defines `Kind`, and for it: Sums, a vector of sums; dot(sums, group, weights), which adds products
// of 32 bits of a row with as many of each column; start(by, column), what sums begin with; put(floats, scaling,
// column, out), which stores floats as they are multiplied next; and it includes tiles.hpp where there are any.
#pragma once

namespace mk::ops {
namespace {

using Value = Kind::Value;
using Scaling = Kind::Scaling;

// Vectors of a tile's width: six rows of them, the operand and what it is multiplied by fill the registers.
constexpr std::size_t wide = lanes / 4;
constexpr std::size_t tallest = lanes == 16 ? 6 : 4;

// Calls tile(first, std::integral_constant<size_t, rows>) for rows 0..count, in tiles of about equal height.
template <std::size_t rows, typename Tile>
inline void tile_of(std::size_t count, std::size_t first, Tile&& tile) {
  if (count == rows) return tile(first, std::integral_constant<std::size_t, rows>());
  if constexpr (rows > 1) tile_of<rows - 1>(count, first, tile);
}

template <std::size_t most, typename Tile>
inline void in_tiles(std::size_t count, Tile&& tile) {
  for (std::size_t first = 0, left = (count + most - 1) / most; left > 0; --left) {
    const std::size_t rows = (count - first + left - 1) / left;
    tile_of<most>(rows, first, tile);
    first += rows;
  }
}

// Terms of Gelu's polynomial, the highest first: t times the normal distribution's share below -t, fitted at the points
// of Chebyshev from 0 to `gelu_end`, in u = 2 t / gelu_end - 1.
constexpr float gelu_end = 5.0f;
constexpr float gelu_terms[] = {-0.025444375f, 0.0072326527f, 0.13159016f, -0.092517488f, -0.25140855f,
                                0.34528136f,   0.077264339f,  -0.49081287f, 0.41898912f,  -0.017375967f,
                                -0.2569682f,   0.23266667f,   -0.094022155f, 0.015525436f};

void narrow(const float* x, const Scaling& scaling, std::size_t n, Value* out) {
  for (std::size_t i = 0; i < n; i += lanes) put(load<Floats>(x + i), scaling, i, out + i);
}

void add_norm(float* x, const float* residual, const float* gamma, const float* beta, float epsilon, std::size_t n,
              float* out) {
  Floats total = {}, squares = {};
  for (std::size_t i = 0; i < n; i += lanes) {
    const Floats v = load<Floats>(x + i) + load<Floats>(residual + i);
    store(x + i, v);
    total += v;
  }
  const Floats mean = spread(sum(total) / static_cast<float>(n));
  for (std::size_t i = 0; i < n; i += lanes) {
    const Floats v = load<Floats>(x + i) - mean;
    squares += v * v;
  }
  const Floats by = spread(1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(n) + epsilon));
  for (std::size_t i = 0; i < n; i += lanes) {
    store(out + i, (load<Floats>(x + i) - mean) * by * load<Floats>(gamma + i) + load<Floats>(beta + i));
  }
}

// x times the normal distribution's share below x, within 2e-6: max(x, 0) less that of t below -t, where t = |x|.
inline Floats gelu(Floats x) {
  const Floats t = smaller(larger(x, -x), spread(gelu_end));
  const Floats u = t * spread(2 / gelu_end) - spread(1.0f);
  Floats p = spread(gelu_terms[0]);
#pragma GCC unroll 32
  for (std::size_t i = 1; i < sizeof gelu_terms / sizeof *gelu_terms; ++i) p = p * u + spread(gelu_terms[i]);
  return larger(x, Floats{}) - p;
}

inline Floats finished(Sums sums, const Matrix<Kind>& by, std::size_t column) {
  return __builtin_convertvector(sums, Floats) * load<Floats>(by.scale + column) + load<Floats>(by.bias + column);
}

#if defined(MIRRORKIT_TILES)
// As `multiply` below, where tiles fit: a row has a multiple of 64 bytes.
template <typename Use>
inline void multiply_by_tiles(const Matrix<Kind>& by, std::size_t number, const Value* rows, std::size_t step,
                              std::size_t count, Use&& use) {
  const std::size_t left = number * panel;
  const Factors factors = {reinterpret_cast<const char*>(rows), step * sizeof(Value),
                           reinterpret_cast<const char*>(by.packed + left * by.groups * together<Kind>), by.groups};
  in_pairs_of_tiles(factors, count, [&](std::size_t first, std::size_t tall, const TileSum* sums) {
#pragma GCC unroll 4
    for (std::size_t part = 0; part < panel; part += lanes) {
      const std::size_t column = left + part;
      const Sums begun = start(by, column);
      for (std::size_t r = 0; r < tall; ++r) {
        use(first + r, column, finished(begun + load<Sums>(sums + r * panel + part), by, column));
      }
    }
  });
}
#endif

// Calls use(row, column, sums) for each vector of a panel's products with `count` rows.
template <typename Use>
inline void multiply(const Matrix<Kind>& by, std::size_t number, const Value* rows, std::size_t step,
                     std::size_t count, Use&& use) {
#if defined(MIRRORKIT_TILES)
  if (by.groups % tile == 0) return multiply_by_tiles(by, number, rows, step, count, use);
#endif
  constexpr std::size_t columns = wide * lanes, some = together<Kind>;
  for (std::size_t part = 0; part < panel; part += columns) {
    const Kind::Weight* first = by.packed + (number * by.groups * panel + part) * some;
    const std::size_t left = number * panel + part;
    in_tiles<tallest>(count, [&](std::size_t row, auto height) {
      constexpr std::size_t tall = decltype(height)::value;
      Sums sums[tall][wide];
#pragma GCC unroll 8
      for (std::size_t r = 0; r < tall; ++r) {
#pragma GCC unroll 8
        for (std::size_t c = 0; c < wide; ++c) sums[r][c] = start(by, left + c * lanes);
      }
      const Value* from = rows + row * step;
      const Kind::Weight* weights = first;
      for (std::size_t k = 0; k < by.groups; ++k, from += some, weights += some * panel) {
#pragma GCC unroll 8
        for (std::size_t r = 0; r < tall; ++r) {
          std::uint32_t group;
          std::memcpy(&group, from + r * step, 4);
#pragma GCC unroll 8
          for (std::size_t c = 0; c < wide; ++c) sums[r][c] = dot(sums[r][c], group, weights + some * c * lanes);
        }
      }
#pragma GCC unroll 8
      for (std::size_t c = 0; c < wide; ++c) {
        const std::size_t column = left + c * lanes;
#pragma GCC unroll 8
        for (std::size_t r = 0; r < tall; ++r) use(row + r, column, finished(sums[r][c], by, column));
      }
    });
  }
}

void linear(const Matrix<Kind>& by, const Value* rows, std::size_t step, std::size_t count, std::size_t first,
            std::size_t last, float* out) {
  for (std::size_t number = first; number < last; ++number) {
    multiply(by, number, rows, step, count,
             [&](std::size_t row, std::size_t column, Floats v) { store(out + row * by.width() + column, v); });
  }
}

void linear_gelu(const Matrix<Kind>& by, const Value* rows, std::size_t step, std::size_t count, std::size_t first,
                 std::size_t last, const Scaling& scaling, Value* out) {
  for (std::size_t number = first; number < last; ++number) {
    multiply(by, number, rows, step, count, [&](std::size_t row, std::size_t column, Floats v) {
      put(gelu(v), scaling, column, out + row * by.width() + column);
    });
  }
}

// out [size, filled up]: the queries of a head, a channel a row; what fills it up is zero.
void turn(const float* queries, std::size_t step, std::size_t length, std::size_t size, std::size_t full, float* out) {
  for (std::size_t token = 0; token < full; token += lanes) {
    for (std::size_t channel = 0; channel < size; channel += lanes) {
      Floats block[lanes];
#pragma GCC unroll 16
      for (std::size_t i = 0; i < lanes; ++i) {
        block[i] = token + i < length ? load<Floats>(queries + (token + i) * step + channel) : Floats{};
      }
      transpose(block);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < lanes; ++i) store(out + (channel + i) * full + token, block[i]);
    }
  }
}

// Floats that lie `row` apart from one row to the next and `column` from one column to the next.
struct Strided {
  const float* data;
  std::size_t row, column;
};

// Calls use(row, column, values) for the product of a [tall, depth] and b [depth, many * lanes].
template <std::size_t tall, std::size_t many, typename Use>
inline void product(Strided a, const float* b, std::size_t b_step, std::size_t depth, Use&& use) {
  Floats sums[tall][many];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < tall; ++r) {
#pragma GCC unroll 8
    for (std::size_t c = 0; c < many; ++c) sums[r][c] = Floats{};
  }
  for (std::size_t k = 0; k < depth; ++k, a.data += a.column, b += b_step) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < tall; ++r) {
      const Floats by = spread(a.data[r * a.row]);
#pragma GCC unroll 8
      for (std::size_t c = 0; c < many; ++c) sums[r][c] += by * load<Floats>(b + c * lanes);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < tall; ++r) {
#pragma GCC unroll 8
    for (std::size_t c = 0; c < many; ++c) use(r, c * lanes, sums[r][c]);
  }
}

// Scores [length, lanes] of as many queries become weights, still to be divided by the sums returned.
inline Floats soften(float* scores, std::size_t length) {
  Floats most = load<Floats>(scores), total = {};
  for (std::size_t i = 1; i < length; ++i) most = larger(most, load<Floats>(scores + i * lanes));
  for (std::size_t i = 0; i < length; ++i) {
    const Floats weight = power_of_two(load<Floats>(scores + i * lanes) - most);
    store(scores + i * lanes, weight);
    total += weight;
  }
  return total;
}

// A lane for each query, so that no sum goes over lanes.
void attention(const Projected& text, std::size_t from, std::size_t size, const Scaling& scaling, Value* out,
               std::size_t step, float* scratch) {
  constexpr std::size_t keys_at_once = 6, queries_at_once = 6;
  const float *queries = text.rows + from, *keys = queries + text.hidden, *values = keys + text.hidden;
  const std::size_t full = rounded_up(text.length, lanes);
  float *turned = scratch, *scores = scratch + size * full;
  turn(queries, text.step, text.length, size, full, turned);
  for (std::size_t block = 0; block < text.length; block += lanes) {
    in_tiles<keys_at_once>(text.length, [&](std::size_t first, auto height) {
      product<decltype(height)::value, 1>(
          {keys + first * text.step, text.step, 1}, turned + block, full, size,
          [&](std::size_t r, std::size_t, Floats v) { store(scores + (first + r) * lanes, v); });
    });
    const Floats shares = spread(1.0f) / soften(scores, text.length);
    const std::size_t count = text.length - block < lanes ? text.length - block : lanes;
    in_tiles<queries_at_once>(count, [&](std::size_t first, auto height) {
      constexpr std::size_t tall = decltype(height)::value;
      std::size_t channel = 0;
      const auto finish = [&](std::size_t r, std::size_t c, Floats v) {
        const std::size_t column = from + channel + c;
        put(v * spread(shares[first + r]), scaling, column, out + (block + first + r) * step + column);
      };
      const Strided weights = {scores + first, 1, lanes};
      for (; channel + 2 * lanes <= size; channel += 2 * lanes) {
        product<tall, 2>(weights, values + channel, text.step, text.length, finish);
      }
      if (channel < size) product<tall, 1>(weights, values + channel, text.step, text.length, finish);
    });
  }
}

}  // namespace

extern const Kernels<Kind> MIRRORKIT_KERNELS;
const Kernels<Kind> MIRRORKIT_KERNELS = {MIRRORKIT_KERNELS_NAME, narrow, add_norm, linear, linear_gelu, attention};

}  // namespace mk::ops
