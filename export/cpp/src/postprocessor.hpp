// The "post_processor" of tokenizer.json: the special tokens round one text.
#pragma once

#include <cstdint>
#include <vector>

#include "json.hpp"

namespace mk {

class PostProcessor {
 public:
  // Throws naming a type or option that is not known; JSON null adds nothing.
  explicit PostProcessor(const Json& value);

  std::size_t added() const { return before_.size() + after_.size(); }
  const std::vector<std::int32_t>& before() const { return before_; }
  const std::vector<std::int32_t>& after() const { return after_; }

 private:
  void read(const Json& value);
  void read_template(const Json& value);
  void surround(const std::vector<std::int32_t>& before, const std::vector<std::int32_t>& after);

  std::vector<std::int32_t> before_, after_;
};

}  // namespace mk
