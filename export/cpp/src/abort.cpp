#include "abort.hpp"

#include <utility>

#include "error.hpp"

namespace mk {

void Abort::set() {
  const std::lock_guard<std::mutex> lock(mutex_);
  set_ = true;
  for (const auto& stop : running_) stop();
}

void Abort::reset() { set_ = false; }

void Abort::check() const {
  if (set_) throw Error(Status::aborted, "aborted");
}

Abort::Watch::Watch(Abort& abort, std::function<void()> stop) : abort_(abort) {
  const std::lock_guard<std::mutex> lock(abort.mutex_);
  abort.check();
  place_ = abort.running_.insert(abort.running_.end(), std::move(stop));
}

Abort::Watch::~Watch() {
  const std::lock_guard<std::mutex> lock(abort_.mutex_);
  abort_.running_.erase(place_);
}

}  // namespace mk
