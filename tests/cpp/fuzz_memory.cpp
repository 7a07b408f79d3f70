// Any bytes as the files of a bundle in memory, through the C API: a status, or an encoder whose tokenizer works. Each
// file is a byte that chooses its name, two for its length, and its content.

#include <mirrorkit.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const char* const names[] = {"mirrorkit.json", "tokenizer.json", "onnx/model.onnx", "golden.jsonl"};
  std::vector<const char*> paths;
  std::vector<const void*> files;
  std::vector<std::size_t> lengths;
  for (std::size_t at = 0; at + 3 <= size;) {
    const std::size_t length = std::min<std::size_t>(data[at + 1] | data[at + 2] << 8, size - at - 3);
    paths.push_back(names[data[at] % 4]);
    files.push_back(data + at + 3);
    lengths.push_back(length);
    at += 3 + length;
  }
  mirrorkit_params params = mirrorkit_default_params();
  params.tokenizer_only = 1;
  params.unverified = 1;
  mirrorkit_encoder* encoder = nullptr;
  const auto status =
      mirrorkit_create_from_memory(paths.data(), files.data(), lengths.data(), paths.size(), &params, &encoder);
  if ((status == MIRRORKIT_OK) != (encoder != nullptr)) std::abort();
  if (encoder == nullptr) {
    if (std::strlen(mirrorkit_last_error()) == 0) std::abort();
    return 0;
  }
  const std::string text = "It's a naïve  e\u0301 中文 [MASK]<mask> 12!";
  std::size_t count = 0;
  mirrorkit_token_ids(encoder, nullptr, text.data(), text.size(), nullptr, 0, &count);
  if (count > static_cast<std::size_t>(mirrorkit_max_length(encoder))) std::abort();
  mirrorkit_free(encoder);
  return 0;
}
