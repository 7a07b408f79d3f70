// Any bytes as a packed bundle: an Error, or members that lie in it, apart from one another.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "bundle.hpp"
#include "error.hpp"
#include "packed.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    std::uint64_t total = 0;
    for (const auto& [name, content] : mk::packed_members(bytes, "packed")) {
      if (content.data() < bytes.data() || content.data() + content.size() > bytes.data() + size) std::abort();
      if (name.empty() || name[0] == '/' || ("/" + name + "/").find("/../") != std::string::npos) std::abort();
      total += content.size();
    }
    if (total > size) std::abort();
    const mk::Bundle bundle(mk::files_in_memory({{"x.mkit", bytes}}));
    bundle.checked(bundle.choose("auto").file, true);
  } catch (const mk::Error& error) {
    if (std::string_view(error.what()).find('\n') != std::string_view::npos) std::abort();
  }
  return 0;
}
