// mirrorkit-cli: encode texts with a bundle, search a file with it, check a bundle on this machine, measure it.

#include <charconv>
#include <functional>
#include <iostream>
#include <map>
#include <string>

#include "commands.hpp"
#include "process.hpp"

namespace {

constexpr const char* usage = R"(usage: mirrorkit-cli encode|check|bench BUNDLE [options]
       mirrorkit-cli search BUNDLE FILE [options]

  encode   one text a line in, one vector a line out
  check    hold token ids and vectors against the bundle's golden.jsonl; exit code 1 where they differ
  search   the ten lines of FILE nearest to each query that is typed: score, number of the line, text
  bench    measure tokenization, one text at a time, and batches, on the texts of golden.jsonl

  --variant NAME    auto, fp32, fp16, int8, int4, ... (auto)
  --ort PATH        libonnxruntime to use (MIRRORKIT_ONNXRUNTIME, then the loader's search path)
  --threads N       (as ONNX Runtime sees fit)
  --batch-tokens N  tokens of one pass, padding included (512)
  --prompt TEXT     put this before each text; search: before each query
  --prompt-name NAME  or the bundle's prompt of this name (its default one, where it has one)
  --truncate-dim N  keep this many leading numbers of a vector
  --normalize       bring vectors to unit length
  --low-memory      keep no memory from one pass of the model for the next
  --no-verify       do not hash the files first
  --verbose         log to standard error
  --input FILE      encode: instead of standard input
  --output FILE     encode: instead of standard output
  --format FORMAT   encode: tsv or npy (tsv)
  --limit X         check: largest difference allowed (1e-5) for fp32; lowest cosine allowed for the others
  --repeat N        bench: rounds, of which the best counts (5)
)";

template <typename T>
T number(const std::string& option, const std::string& value) {
  T result{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc() || end != value.data() + value.size() || result < T{}) {
    throw cli::UsageError(option + " " + value + ": must be a number of at least 0");
  }
  return result;
}

void log(mirrorkit_log_level, std::string_view message) { std::cerr << message << '\n'; }

cli::Arguments parse(const std::vector<std::string>& words) {
  cli::Arguments parsed;
  const std::map<std::string, std::function<void()>> flags = {
      {"--low-memory", [&] { parsed.params.low_memory = true; }},
      {"--normalize", [&] { parsed.params.options.normalize = true; }},
      {"--no-verify", [&] { parsed.params.verify = false; }},
      {"--verbose", [&] { parsed.params.log = log; }},
  };
  using Value = const std::string&;
  const std::map<std::string, std::function<void(Value)>> options = {
      {"--variant", [&](Value value) { parsed.params.variant = value; }},
      {"--ort", [&](Value value) { parsed.params.onnxruntime = value; }},
      {"--threads", [&](Value value) { parsed.params.threads = number<int>("--threads", value); }},
      {"--batch-tokens",
       [&](Value value) { parsed.params.batch_tokens = number<std::size_t>("--batch-tokens", value); }},
      {"--prompt", [&](Value value) { parsed.params.options.prompt = value; }},
      {"--prompt-name", [&](Value value) { parsed.params.options.prompt_name = value; }},
      {"--truncate-dim",
       [&](Value value) { parsed.params.options.truncate_dim = number<std::size_t>("--truncate-dim", value); }},
      {"--input", [&](Value value) { parsed.input = value; }},
      {"--output", [&](Value value) { parsed.output = value; }},
      {"--format", [&](Value value) { parsed.format = value; }},
      {"--limit", [&](Value value) { parsed.limit = number<double>("--limit", value); }},
      {"--repeat", [&](Value value) { parsed.repeat = number<int>("--repeat", value); }},
  };
  std::vector<std::string> places;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (const auto flag = flags.find(words[i]); flag != flags.end()) {
      flag->second();
    } else if (const auto option = options.find(words[i]); option != options.end()) {
      if (i + 1 == words.size()) throw cli::UsageError(words[i] + ": a value is missing");
      option->second(words[++i]);
    } else if (words[i].rfind("--", 0) == 0) {
      throw cli::UsageError(words[i] + ": no such option");
    } else {
      places.push_back(words[i]);
    }
  }
  const bool searches = !places.empty() && places[0] == "search";
  if (searches && places.size() != 3) throw cli::UsageError("search: a bundle and a file of texts are needed");
  if (!searches && places.size() != 2) throw cli::UsageError("a command and a bundle are needed");
  if (parsed.format != "tsv" && parsed.format != "npy")
    throw cli::UsageError("--format " + parsed.format + ": must be tsv or npy");
  parsed.command = places[0];
  parsed.bundle = places[1];
  if (searches) parsed.texts = places[2];
  return parsed;
}

}  // namespace

int main(int argc, char** argv) try {
  cli::use_bytes();
  const std::vector<std::string> words = cli::words_of(argc, argv);
  if (words.size() == 1 && (words[0] == "--help" || words[0] == "-h")) {
    std::cout << usage;
    return cli::success;
  }
  if (words.size() == 1 && words[0] == "--version") {
    std::cout << mirrorkit_version() << '\n';
    return cli::success;
  }
  const cli::Arguments arguments = parse(words);
  if (arguments.command == "encode") return cli::encode(arguments);
  if (arguments.command == "check") return cli::check(arguments);
  if (arguments.command == "bench") return cli::bench(arguments);
  if (arguments.command == "search") return cli::search(arguments);
  throw cli::UsageError(arguments.command + ": no such command");
} catch (const cli::UsageError& error) {
  std::cerr << "mirrorkit-cli: " << error.what() << "; see mirrorkit-cli --help\n";
  return cli::usage_error;
} catch (const std::exception& error) {
  std::cerr << "mirrorkit-cli: " << error.what() << '\n';
  return cli::usage_error;
}
