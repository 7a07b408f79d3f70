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
  const File file = bundle.checked(tokenizer_file, verify);
  return Tokenizer(parse_json(file.text(), file.name), bundle.max_length(), bundle.usage().cuts_left);
}

// Returns whose order of variants counts.
std::string device_of(const std::string& provider) {
  return provider == "CUDA" ? "cuda" : provider == "TensorRT" ? "tensorrt" : "cpu";
}

// Opening leaves behind what parsing the vocabulary and the graph took, which the allocator would keep for good.
void give_memory_back() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace

// A call at work.
struct Encoder::Work {
  std::vector<std::vector<std::int32_t>> ids;
  std::size_t unpooled;  // ids at the start of each text that are attended to and not pooled
  std::size_t kept;      // numbers of a vector
  bool normalize;
  Abort* abort;
};

Encoder::Encoder(std::unique_ptr<const Files> files, Options options)
    : options_(std::move(options)),
      bundle_(std::move(files)),
      variant_(bundle_.choose(options_.variant, device_of(options_.session.provider))),
      tokenizer_(read_tokenizer(bundle_, options_.verify)) {
  before(options_.call);  // a prompt that cannot be is better known now than at the first text
  give_memory_back();
  if (options_.tokenizer_only) return;
  open_session();
  give_memory_back();
  options_.log(LogLevel::info, bundle_.name() + ": " + variant_.name + ", ONNX Runtime " + session_->version());
}

void Encoder::open_session() {
  Graph graph{variant_.file, {}, {}};
  for (const std::string& name : variant_.data_files) graph.weights[name] = bundle_.checked(name, options_.verify);
  graph.file = bundle_.checked(variant_.file, options_.verify);
  session_.emplace(graph, variant_.dim, options_.session, options_.log);
}

std::size_t Encoder::dim(const Call& call) const {
  return call.truncate_dim > 0 ? std::min(call.truncate_dim, variant_.dim) : variant_.dim;
}

std::string Encoder::before(const Call& call) const {
  std::string prompt = bundle_.usage().prompt(call.prompt, call.prompt_name);
  if (!unicode::is_valid_utf8(prompt)) throw Error(Status::invalid_argument, "prompt: not valid UTF-8");
  return prompt;
}

std::vector<std::vector<std::int32_t>> Encoder::ids(const std::vector<std::string_view>& texts,
                                                    const Call& call) const {
  const std::string prompt = before(call);
  std::vector<std::vector<std::int32_t>> all;
  all.reserve(texts.size());
  for (const std::string_view text : texts) {
    const std::size_t index = all.size();
    if (call.abort != nullptr) call.abort->check();
    if (!unicode::is_valid_utf8(text)) {
      throw Error(Status::invalid_argument, "texts[" + std::to_string(index) + "]: not valid UTF-8");
    }
    std::size_t* cut = call.cut != nullptr ? call.cut + index : nullptr;
    all.push_back(prompt.empty() ? tokenizer_.encode(text, cut) : tokenizer_.encode(prompt + std::string(text), cut));
  }
  return all;
}

void Encoder::check_session() const {
  if (!session_) throw Error(Status::invalid_argument, "encode: the encoder was opened with tokenizer_only");
}

void Encoder::encode(const std::vector<std::string_view>& texts, const Call& call, float* vectors) const {
  check_session();
  encode(ids(texts, call), call, vectors);
}

void Encoder::check_ids(const std::vector<std::int32_t>& ids, std::size_t index) const {
  const auto name = [&] { return "ids[" + std::to_string(index) + "]: "; };
  if (ids.size() > max_length()) {
    throw Error(Status::invalid_argument, name() + "has " + std::to_string(ids.size()) + " tokens, the model takes " +
                                              std::to_string(max_length()));
  }
  const std::int32_t largest = tokenizer_.largest_id();
  for (const std::int32_t id : ids) {
    if (id < 0 || id > largest) {
      throw Error(Status::invalid_argument,
                  name() + std::to_string(id) + " is not the id of a token; they go to " + std::to_string(largest));
    }
  }
}

void Encoder::encode(std::vector<std::vector<std::int32_t>> ids, const Call& call, float* vectors) const {
  check_session();
  const std::string prompt = before(call);
  const std::size_t unpooled = bundle_.usage().include_prompt ? 0 : tokenizer_.prompt_length(prompt);
  std::vector<std::size_t> lengths;
  lengths.reserve(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    check_ids(ids[i], i);
    lengths.push_back(ids[i].size());
  }
  const Work work{std::move(ids), unpooled, dim(call), call.normalize, call.abort};
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
  session_->run(batch, work.abort, [&](const float* result) {
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
