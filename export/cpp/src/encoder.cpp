#include "encoder.hpp"

#include <cstdlib>  // __GLIBC__
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <cmath>
#include <utility>

#include "batching.hpp"
#include "error.hpp"
#include "unicode.hpp"

namespace mk {
namespace {

constexpr const char* tokenizer_file = "tokenizer.json";

Tokenizer read_tokenizer(const Bundle& bundle, bool verify) {
  const auto path = bundle.checked(tokenizer_file, verify);
  return Tokenizer(parse_json(read_file(path), path.string()), bundle.max_length());
}

// Opening leaves behind what parsing the vocabulary and the graph took, which the allocator would keep for good.
void give_memory_back() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace

Encoder::Encoder(const std::string& folder, Options options)
    : options_(std::move(options)),
      bundle_(folder),
      variant_(bundle_.choose(options_.variant)),
      tokenizer_(read_tokenizer(bundle_, options_.verify)) {
  give_memory_back();
  if (options_.tokenizer_only) return;
  for (const std::string& file : variant_.data_files) bundle_.checked(file, options_.verify);
  const auto graph = bundle_.checked(variant_.file, options_.verify);
  const SessionOptions settings{options_.onnxruntime, options_.threads, options_.low_memory};
  session_.emplace(graph, bundle_.dim(), settings, options_.log);
  give_memory_back();
  options_.log(LogLevel::info, folder + ": " + variant_.name + ", ONNX Runtime " + session_->version());
}

std::vector<std::int32_t> Encoder::ids(std::string_view text, std::size_t index) const {
  if (!unicode::is_valid_utf8(text)) {
    throw Error(Status::invalid_argument, "texts[" + std::to_string(index) + "]: not valid UTF-8");
  }
  return tokenizer_.encode(text);
}

void Encoder::encode(const std::vector<std::string_view>& texts, float* vectors) const {
  if (!session_) throw Error(Status::invalid_argument, "encode: the encoder was opened with tokenizer_only");
  std::vector<std::vector<std::int32_t>> all;
  all.reserve(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) all.push_back(ids(texts[i], i));
  std::vector<std::size_t> lengths;
  lengths.reserve(all.size());
  for (const auto& one : all) lengths.push_back(one.size());
  for (const auto& rows : batches(lengths, options_.batch_tokens)) encode_batch(all, rows, vectors);
}

void Encoder::encode_batch(const std::vector<std::vector<std::int32_t>>& ids, const std::vector<std::size_t>& rows,
                           float* vectors) const {
  const std::size_t count = rows.size();
  std::size_t width = 1;
  for (const std::size_t row : rows) width = std::max(width, ids[row].size());
  Batch batch{std::vector<std::int64_t>(count * width, bundle_.pad_id()), std::vector<std::int64_t>(count * width, 0),
              static_cast<std::int64_t>(count), static_cast<std::int64_t>(width)};
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<std::int32_t>& row = ids[rows[i]];
    std::copy(row.begin(), row.end(), batch.ids.begin() + static_cast<std::ptrdiff_t>(i * width));
    std::fill_n(batch.mask.begin() + static_cast<std::ptrdiff_t>(i * width), row.size(), 1);
  }
  session_->run(batch, [&](const float* result) {
    for (std::size_t i = 0; i < count; ++i) {
      const float* vector = result + i * dim();
      if (!std::all_of(vector, vector + dim(), [](float value) { return std::isfinite(value); })) {
        throw Error(Status::runtime_error,
                    "texts[" + std::to_string(rows[i]) + "]: its vector holds values that are no numbers");
      }
      std::copy(vector, vector + dim(), vectors + rows[i] * dim());
    }
  });
}

}  // namespace mk
