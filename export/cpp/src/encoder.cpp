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
  return Tokenizer(parse_json(read_file(path), path.u8string()), bundle.max_length(), bundle.usage().cuts_left);
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
  before(options_.call);  // a prompt that cannot be is better known now than at the first text
  give_memory_back();
  if (options_.tokenizer_only) return;
  for (const std::string& file : variant_.data_files) bundle_.checked(file, options_.verify);
  const auto graph = bundle_.checked(variant_.file, options_.verify);
  const SessionOptions settings{options_.onnxruntime, options_.threads, options_.low_memory};
  session_.emplace(graph, variant_.dim, settings, options_.log);
  give_memory_back();
  options_.log(LogLevel::info, folder + ": " + variant_.name + ", ONNX Runtime " + session_->version());
}

std::size_t Encoder::dim(const Call& call) const {
  return call.truncate_dim > 0 ? std::min(call.truncate_dim, variant_.dim) : variant_.dim;
}

std::string Encoder::before(const Call& call) const {
  std::string prompt = bundle_.usage().prompt(call.prompt, call.prompt_name);
  if (!unicode::is_valid_utf8(prompt)) throw Error(Status::invalid_argument, "prompt: not valid UTF-8");
  return prompt;
}

std::vector<std::int32_t> Encoder::ids(std::string_view text, std::size_t index) const {
  return ids(before(options_.call), text, index);
}

std::vector<std::int32_t> Encoder::ids(const std::string& prompt, std::string_view text, std::size_t index) const {
  if (!unicode::is_valid_utf8(text)) {
    throw Error(Status::invalid_argument, "texts[" + std::to_string(index) + "]: not valid UTF-8");
  }
  return prompt.empty() ? tokenizer_.encode(text) : tokenizer_.encode(prompt + std::string(text));
}

void Encoder::encode(const std::vector<std::string_view>& texts, const Call& call, float* vectors) const {
  if (!session_) throw Error(Status::invalid_argument, "encode: the encoder was opened with tokenizer_only");
  const std::string prompt = before(call);
  const std::size_t unpooled = bundle_.usage().include_prompt ? 0 : tokenizer_.prompt_length(prompt);
  Work work{{}, unpooled, dim(call), call.normalize};
  std::vector<std::size_t> lengths;
  lengths.reserve(texts.size());
  work.ids.reserve(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    work.ids.push_back(ids(prompt, texts[i], i));
    lengths.push_back(work.ids.back().size());
  }
  for (const auto& rows : batches(lengths, options_.batch_tokens)) encode_batch(work, rows, vectors);
}

void Encoder::encode_batch(const Work& work, const std::vector<std::size_t>& rows, float* vectors) const {
  const std::size_t count = rows.size(), dim = variant_.dim;
  std::size_t width = 1;
  for (const std::size_t row : rows) width = std::max(width, work.ids[row].size());
  Batch batch{std::vector<std::int64_t>(count * width, bundle_.pad_id()), std::vector<std::int64_t>(count * width, 0),
              static_cast<std::int64_t>(count), static_cast<std::int64_t>(width)};
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<std::int32_t>& row = work.ids[rows[i]];
    const auto place = static_cast<std::ptrdiff_t>(i * width);
    std::copy(row.begin(), row.end(), batch.ids.begin() + place);
    std::fill_n(batch.mask.begin() + place, row.size(), 1);
    std::fill_n(batch.mask.begin() + place, std::min(row.size(), work.unpooled), 2);
  }
  session_->run(batch, [&](const float* result) {
    for (std::size_t i = 0; i < count; ++i) {
      const float* vector = result + i * dim;
      if (!std::all_of(vector, vector + dim, [](float value) { return std::isfinite(value); })) {
        throw Error(Status::runtime_error,
                    "texts[" + std::to_string(rows[i]) + "]: its vector holds values that are no numbers");
      }
      float* out = vectors + rows[i] * work.kept;
      std::copy(vector, vector + work.kept, out);
      if (work.normalize) to_unit_length(out, work.kept);
    }
  });
}

}  // namespace mk
