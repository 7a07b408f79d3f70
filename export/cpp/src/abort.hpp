// A call that another thread can end.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <mutex>

namespace mk {

// Any number of threads may use one at the same time.
class Abort {
 public:
  void set();
  void reset();

  // Throws where it is set.
  void check() const;

  // While it lives, `stop` is called by whoever sets the abort; the constructor throws where that has happened.
  class Watch {
   public:
    Watch(Abort& abort, std::function<void()> stop);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    Abort& abort_;
    std::list<std::function<void()>>::iterator place_;
  };

 private:
  std::atomic<bool> set_{false};
  std::mutex mutex_;
  std::list<std::function<void()>> running_;
};

}  // namespace mk
