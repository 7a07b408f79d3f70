// How alike are two texts? A whole program on libmirrorkit; similarity.html is the same in a browser.
//
//   similarity BUNDLE "one text" "another text"

#include <mirrorkit.hpp>

#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s BUNDLE TEXT TEXT\n", argv[0]);
    return 2;
  }
  mirrorkit::Params params;
  params.variant = "fp32";
  const mirrorkit::Encoder encoder(argv[1], params);
  const std::vector<float> vectors = encoder.encode({argv[2], argv[3]});  // two of encoder.dim() numbers
  const auto second = vectors.begin() + static_cast<std::ptrdiff_t>(encoder.dim());
  const float cosine = std::inner_product(vectors.begin(), second, second, 0.0f);  // unit length: the cosine
  std::printf("%.4f\n", cosine);
  return 0;
} catch (const mirrorkit::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
