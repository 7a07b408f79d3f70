// threads_test BUNDLE LIBONNXRUNTIME: many threads use one encoder, others open and close their own; all must agree
// with one thread alone.

#include <atomic>
#include <cstdio>
#include <mirrorkit.hpp>
#include <thread>

namespace {

constexpr int threads = 4, rounds = 5;
const std::vector<std::string> texts = {"A cat sat on the mat.", "", "naïve café", "中文 [MASK] ok",
                                        "one two three four five"};

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) return 2;
  mirrorkit::Params params;
  params.variant = "fp32";
  params.onnxruntime = argv[2];
  params.threads = 1;
  params.batch_tokens = 1;  // one text a batch, so that the sums are the same ones
  const mirrorkit::Encoder encoder(argv[1], params);
  const std::vector<float> expected = encoder.encode(texts);
  const std::vector<std::int32_t> ids = encoder.token_ids(texts[3]);

  std::atomic<int> wrong = 0;
  const auto use_shared = [&] {
    for (int round = 0; round < rounds; ++round) {
      wrong += encoder.encode(texts) != expected;
      wrong += encoder.token_ids(texts[3]) != ids;
    }
  };
  const auto use_own = [&] {
    const mirrorkit::Encoder own(argv[1], params);
    wrong += own.encode(texts) != expected;
  };
  const auto fail_often = [&] {
    for (int round = 0; round < rounds; ++round) {
      try {
        encoder.encode({"\xff"});
        ++wrong;
      } catch (const mirrorkit::Error& error) {
        wrong += error.status() != MIRRORKIT_INVALID_ARGUMENT;
      }
    }
  };
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) running.emplace_back(use_shared);
  running.emplace_back(use_own);
  running.emplace_back(fail_often);
  for (std::thread& thread : running) thread.join();
  std::puts(wrong == 0 ? "ok" : "FAILED");
  return wrong == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
