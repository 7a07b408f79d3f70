// Products by AMX: a tile has up to 16 rows of 64 bytes, and one instruction multiplies two of them: bytes by fours, or
// bf16 by pairs. Sums of bytes are those of any other way; each sum of floats goes along its row in one order, whatever
// is beside it. All of it is local to the file that includes it, which defines MIRRORKIT_TILES, the intrinsic (it takes
// but literal numbers), and TileSum, what it sums in.
#pragma once

#include <immintrin.h>

#include "kernels.hpp"
#include "vectors.hpp"

namespace {

constexpr std::size_t tile = 16;  // rows, and columns of 32 bits

// What LDTILECFG reads: which part of each tile register is used.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {};  // of a row
  std::uint8_t rows[16] = {};

  void add(int number, std::size_t count) {
    bytes[number] = 64;
    rows[number] = static_cast<std::uint8_t>(count);
  }
};
static_assert(sizeof(TileShapes) == 64, "as the processor has it");

inline void load_shapes(const TileShapes& shapes) {
  __asm__ volatile("" : : "r"(&shapes) : "memory");  // all of it is written by now
  _tile_loadconfig(&shapes);
}

// The shapes that others in this thread had set: ONNX Runtime sets its own once and relies on them from then on.
class OthersShapes {
 public:
  OthersShapes() {
    _tile_storeconfig(&shapes_);
    __asm__ volatile("" : : : "memory");
  }
  ~OthersShapes() {
    if (shapes_.palette == 0) {
      _tile_release();
    } else {
      load_shapes(shapes_);
    }
  }
  OthersShapes(const OthersShapes&) = delete;
  OthersShapes& operator=(const OthersShapes&) = delete;

 private:
  TileShapes shapes_;
};

// Of one panel: where its values and the rows that they are multiplied with begin. `step` counts bytes; `groups`, of 32
// bits, is a multiple of 16.
struct Factors {
  const char* rows;
  std::size_t step;
  const char* weights;
  std::size_t groups;
};

constexpr std::size_t next_group = 4 * mk::ops::panel;  // bytes from one group of rows of a panel to the next

// sums [up to 16, 64]: one tile of rows by the four tiles of a panel's columns.
inline void one_by_four(const Factors& of, TileSum* sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::size_t k = 0; k < of.groups; k += tile) {
    const char* weights = of.weights + k * next_group;
    _tile_loadd(4, of.rows + 4 * k, of.step);
    _tile_loadd(6, weights, next_group);
    MIRRORKIT_TILES(0, 4, 6);
    _tile_loadd(7, weights + 64, next_group);
    MIRRORKIT_TILES(1, 4, 7);
    _tile_loadd(6, weights + 128, next_group);
    MIRRORKIT_TILES(2, 4, 6);
    _tile_loadd(7, weights + 192, next_group);
    MIRRORKIT_TILES(3, 4, 7);
  }
  constexpr std::size_t step = sizeof(TileSum) * mk::ops::panel;
  _tile_stored(0, sums, step);
  _tile_stored(1, sums + tile, step);
  _tile_stored(2, sums + 2 * tile, step);
  _tile_stored(3, sums + 3 * tile, step);
}

// sums [up to 32, 64]: two tiles of rows, each by two of the four tiles of columns at a time.
inline void two_by_two(const Factors& of, TileSum* sums) {
  constexpr std::size_t step = 4 * mk::ops::panel;
  for (std::size_t column = 0; column < mk::ops::panel; column += 2 * tile) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (std::size_t k = 0; k < of.groups; k += tile) {
      const char* weights = of.weights + k * next_group + 4 * column;
      _tile_loadd(4, of.rows + 4 * k, of.step);
      _tile_loadd(6, weights, next_group);
      MIRRORKIT_TILES(0, 4, 6);
      _tile_loadd(7, weights + 64, next_group);
      MIRRORKIT_TILES(1, 4, 7);
      _tile_loadd(5, of.rows + tile * of.step + 4 * k, of.step);
      MIRRORKIT_TILES(2, 5, 6);
      MIRRORKIT_TILES(3, 5, 7);
    }
    TileSum* to = sums + column;
    _tile_stored(0, to, step);
    _tile_stored(1, to + tile, step);
    _tile_stored(2, to + tile * mk::ops::panel, step);
    _tile_stored(3, to + tile * mk::ops::panel + tile, step);
  }
}

// Calls use(first, count, sums) for up to 32 rows at a time of the products of `count` rows with a panel.
template <typename Use>
inline void in_pairs_of_tiles(Factors of, std::size_t count, Use&& use) {
  const OthersShapes others;
  alignas(64) TileSum sums[2 * tile * mk::ops::panel];
  std::size_t set = 0;
  for (std::size_t first = 0; first < count; first += 2 * tile, of.rows += 2 * tile * of.step) {
    const std::size_t rows = count - first < 2 * tile ? count - first : 2 * tile;
    const std::size_t upper = rows < tile ? rows : tile;
    if (rows != set) {
      TileShapes shapes;
      for (int number = 0; number < 4; ++number) {
        const std::size_t lower = rows - upper;
        shapes.add(number, rows <= tile || number < 2 ? upper : lower);
      }
      shapes.add(4, upper);
      if (rows > tile) shapes.add(5, rows - upper);
      shapes.add(6, tile);
      shapes.add(7, tile);
      load_shapes(shapes);
      set = rows;
    }
    if (rows > tile) {
      two_by_two(of, sums);
    } else {
      one_by_four(of, sums);
    }
    use(first, rows, sums);
  }
}

}  // namespace
