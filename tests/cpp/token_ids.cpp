// token_ids TOKENIZER.JSON MAX_LENGTH: reads texts, each a u32 length and its bytes; writes their ids, each a u32 count
// and its i32 values. With "-" as the first argument it prints the CPU seconds of encoding instead.

#include <cstdio>
#include <cstdint>
#include <ctime>
#include <exception>
#include <string>
#include <vector>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

#include "bundle.hpp"
#include "tokenizer.hpp"

namespace {

void use_bytes() {
#ifdef _WIN32
  for (std::FILE* stream : {stdin, stdout}) _setmode(_fileno(stream), _O_BINARY);
#endif
}

}  // namespace

int main(int argc, char** argv) try {
  const bool timing = argc == 4 && std::string(argv[1]) == "-";
  if (argc != (timing ? 4 : 3)) return 2;
  use_bytes();
  const char* file = argv[argc - 2];
  const mk::Tokenizer tokenizer(mk::parse_json(mk::read_file(file), file), std::stoul(argv[argc - 1]));
  std::vector<std::string> texts;
  for (std::uint32_t size = 0; std::fread(&size, sizeof size, 1, stdin) == 1;) {
    texts.emplace_back(size, '\0');
    if (std::fread(texts.back().data(), 1, size, stdin) != size) return 2;
  }
  const std::clock_t start = std::clock();
  for (const std::string& text : texts) {
    const std::vector<std::int32_t> ids = tokenizer.encode(text);
    if (timing) continue;
    const auto count = static_cast<std::uint32_t>(ids.size());
    std::fwrite(&count, sizeof count, 1, stdout);
    if (count > 0) std::fwrite(ids.data(), sizeof ids[0], count, stdout);
  }
  if (timing) std::printf("%.9f\n", static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
