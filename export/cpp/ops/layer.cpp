#include "layer.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>

namespace mk::ops {
namespace {

// Tokens that are worked on together: enough to fetch the weights for, few enough for a cache. Weights of two bytes are
// fetched from farther away, so more of them are worth it.
template <typename Kind>
constexpr std::size_t block_tokens = sizeof(typename Kind::Weight) == 1 ? 64 : 256;

constexpr float log2e = 1.44269504088896f;

void serially(std::size_t count, const std::function<void(std::size_t)>& use) {
  for (std::size_t i = 0; i < count; ++i) use(i);
}

// Calls use(0..count) by `each`, whose threads no exception may leave.
void guarded(const Each& each, std::size_t count, const std::function<void(std::size_t)>& use) {
  std::atomic<bool> failed = false;
  each(count, [&](std::size_t i) {
    try {
      use(i);
    } catch (...) {  // only memory can be lacking
      failed = true;
    }
  });
  if (failed) throw std::bad_alloc();
}

// Memory that is written before it is read.
template <typename T>
std::unique_ptr<T[]> room(std::size_t count) {
  return std::unique_ptr<T[]>(new T[count]);
}

}  // namespace

template <typename Kind>
const typename Layer<Kind>::Parts& Layer<Kind>::checked(const Parts& parts) {
  const std::size_t hidden = parts.hidden, heads = parts.heads;
  require(hidden > 0 && heads > 0 && hidden % heads == 0 && hidden / heads % 16 == 0,
          "channels of a head must be a multiple of 16");
  const auto is = [](const Given<Kind>& matrix, std::size_t rows, std::size_t columns) {
    return matrix.rows == rows && matrix.columns == columns;
  };
  require(is(parts.attention_in, hidden, 3 * hidden) && is(parts.attention_out, hidden, hidden) &&
              is(parts.up, hidden, parts.up.columns) && is(parts.down, parts.up.columns, hidden),
          "the matrices do not fit together");
  return parts;
}

template <typename Kind>
Layer<Kind>::Layer(const Parts& parts)
    : kernels_(kernels<Kind>()),
      hidden_(checked(parts).hidden),
      heads_(parts.heads),
      epsilon_(parts.epsilon),
      in_(parts.attention_in, parts.hidden, parts.scale * log2e),
      out_(parts.attention_out),
      up_(parts.up),
      down_(parts.down) {
  const float* const arrays[] = {parts.first.gamma, parts.first.beta, parts.second.gamma, parts.second.beta};
  for (std::size_t i = 0; i < 4; ++i) norms_[i].assign(arrays[i], arrays[i] + hidden_);
}

// What a block of tokens is worked on in.
template <typename Kind>
struct Layer<Kind>::Block {
  Block(std::size_t count, const Layer& layer)
      : rows(room<Value>(count * layer.hidden_)),
        attended(room<Value>(count * layer.hidden_)),
        inner(room<Value>(count * layer.up_.matrix().width())),
        wide(room<float>(count * layer.in_.matrix().width())),
        sums(room<float>(count * layer.out_.matrix().width())),
        middle(room<float>(count * layer.hidden_)) {}

  std::unique_ptr<Value[]> rows, attended, inner;
  std::unique_ptr<float[]> wide, sums, middle;
};

template <typename Kind>
void Layer<Kind>::run(const float* x, const std::int32_t* mask, std::size_t batch, std::size_t length, float* out,
                      const Each& each) const {
  Tokens tokens;
  tokens.places.reserve(batch * length);
  for (std::size_t text = 0; text < batch; ++text) {
    const std::size_t first = tokens.places.size();
    for (std::size_t place = text * length; place < (text + 1) * length; ++place) {
      if (mask[place] != 0) {
        tokens.places.push_back(place);
      } else {
        std::fill_n(out + place * hidden_, hidden_, 0.0f);
      }
    }
    if (tokens.places.size() > first) tokens.texts.push_back({first, tokens.places.size() - first});
  }
  if (tokens.texts.empty()) return;
  std::vector<std::size_t> blocks = {0};  // where each ends among the texts
  for (std::size_t i = 0, begin = 0; i < tokens.texts.size(); ++i) {
    const Span& text = tokens.texts[i];
    if (text.first + text.length - begin < block_tokens<Kind> && i + 1 < tokens.texts.size()) continue;
    blocks.push_back(i + 1);
    begin = text.first + text.length;
  }
  if (blocks.size() == 2) return run_block(x, tokens, 0, tokens.texts.size(), out, each);
  guarded(each, blocks.size() - 1,
          [&](std::size_t i) { run_block(x, tokens, blocks[i], blocks[i + 1], out, serially); });
}

template <typename Kind>
void Layer<Kind>::run_block(const float* x, const Tokens& tokens, std::size_t first, std::size_t last, float* out,
                      const Each& each) const {
  const std::size_t begin = tokens.texts[first].first;
  const std::size_t count = tokens.texts[last - 1].first + tokens.texts[last - 1].length - begin;
  const std::size_t* places = tokens.places.data() + begin;
  Block block(count, *this);
  const auto norm = [&](std::size_t i, const float* residual, int number, float* to) {
    float* sums = block.sums.get() + i * out_.matrix().width();
    kernels_.add_norm(sums, residual, norms_[number].data(), norms_[number + 1].data(), epsilon_, hidden_, to);
  };
  for (std::size_t i = 0; i < count; ++i) {
    kernels_.narrow(x + places[i] * hidden_, in_.scaling(), hidden_, block.rows.get() + i * hidden_);
  }
  multiply(in_, block.rows.get(), count, block.wide.get(), each);
  attend(tokens, first, last, block, each);
  multiply(out_, block.attended.get(), count, block.sums.get(), each);
  for (std::size_t i = 0; i < count; ++i) {
    float* middle = block.middle.get() + i * hidden_;
    norm(i, x + places[i] * hidden_, 0, middle);
    kernels_.narrow(middle, up_.scaling(), hidden_, block.rows.get() + i * hidden_);
  }
  each(up_.matrix().panels, [&](std::size_t i) {
    kernels_.linear_gelu(up_.matrix(), block.rows.get(), up_.step(), count, i, i + 1, down_.scaling(),
                         block.inner.get());
  });
  each(down_.matrix().panels, [&](std::size_t i) {
    kernels_.linear(down_.matrix(), block.inner.get(), up_.matrix().width(), count, i, i + 1, block.sums.get());
  });
  for (std::size_t i = 0; i < count; ++i) {
    norm(i, block.middle.get() + i * hidden_, 2, out + places[i] * hidden_);
  }
}

template <typename Kind>
void Layer<Kind>::multiply(const Product<Kind>& by, const Value* rows, std::size_t count, float* out,
                     const Each& each) const {
  each(by.matrix().panels, [&](std::size_t i) {
    kernels_.linear(by.matrix(), rows, by.step(), count, i, i + 1, out);
  });
}

template <typename Kind>
void Layer<Kind>::attend(const Tokens& tokens, std::size_t first, std::size_t last, Block& block,
                         const Each& each) const {
  const std::size_t size = hidden_ / heads_, begin = tokens.texts[first].first;
  std::size_t longest = 0;
  for (std::size_t i = first; i < last; ++i) longest = std::max(longest, tokens.texts[i].length);
  guarded(each, heads_, [&](std::size_t head) {
    const auto scratch = room<float>(attention_scratch(longest, size));
    for (std::size_t i = first; i < last; ++i) {
      const Span& span = tokens.texts[i];
      const std::size_t row = span.first - begin, step = in_.matrix().width();
      kernels_.attention({block.wide.get() + row * step, step, span.length, hidden_}, head * size, size,
                         out_.scaling(), block.attended.get() + row * out_.step(), out_.step(),
                         scratch.get());
    }
  });
}

template class Layer<Int8>;
template class Layer<Bf16>;

}  // namespace mk::ops
