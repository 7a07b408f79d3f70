// The one exception of the library: a status code of mirrorkit.h and a line that says what was wrong.
#pragma once

#include <stdexcept>
#include <string>

namespace mk {

enum class Status { ok, invalid_argument, not_found, bad_bundle, unsupported, buffer_too_small, runtime_error, aborted };

class Error : public std::runtime_error {
 public:
  Error(Status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  Status status() const { return status_; }

 private:
  Status status_;
};

[[noreturn]] inline void bad_bundle(const std::string& message) { throw Error(Status::bad_bundle, message); }
[[noreturn]] inline void unsupported(const std::string& message) { throw Error(Status::unsupported, message); }

}  // namespace mk
